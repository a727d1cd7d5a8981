/* Turns at opening channels, and openings that nobody waits for any more. */
#include "ssh_inner.h"

struct waiters *ssh_turns(struct ssh *s) {
  return &s->turns;
}

int ssh_turn_take(struct ssh *s, const void *holder) {
  if (s->turn != NULL && s->turn != holder && ssh_alive(s))
    return KB_EAGAIN;
  s->turn = holder;
  return 0;
}

/* Whether keys are being exchanged anew. The first message brings that as far
** as it can come with what has arrived. */
static bool is_rekeying(struct ssh *s) {
  ssh_nudge(s, false);
  return !ssh_nudge(s, false);
}

/* libssh2 forgets an opening when its input fails. In a rekeying it must not
** fail: that would break the exchange, and with it the session. */
static void give_up(struct ssh *s) {
  struct ssh_channel *ch = NULL;
  ssh_open(s, NULL, 0, &ch);
  if (s->opening && ssh_alive(s) && !is_rekeying(s)) {
    s->aborting = true;
    ssh_open(s, NULL, 0, &ch);
    s->aborting = false;
    if (s->opening)
      ssh_fail(s, KB_EPROTO, "opening a channel could not be given up");
  }
  ssh_release(ch); /* the answer was there already */
}

void ssh_give_up(struct ssh *s) {
  if (s->turn == &s->opening && s->opening && ssh_alive(s))
    give_up(s);
  if (s->turn != &s->opening || (s->opening && ssh_alive(s)))
    return;
  s->turn = NULL;
  task_wake_one(&s->turns);
}

void ssh_turn_leave(struct ssh *s, const void *holder) {
  if (s->turn == holder) {
    s->turn = &s->opening;
    ssh_give_up(s);
  } else if (s->turn == NULL) {
    task_wake_one(&s->turns); /* the holder was woken for it, and gave up */
  }
}
