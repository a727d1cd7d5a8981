/*
 * delay TAP LINK MS: stand between a new tap interface and an existing link and
 * pass every Ethernet frame on to the other side MS milliseconds later. Ends,
 * and the tap with it, when the link goes away. What netem does in kernels
 * that have it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A frame with its offload header: the kernel hands over segments of up to
 * 64 KiB with checksums still to be made, and the header says so. */
#define FRAME_MAX (65536 + 64)
/* What is under way in one direction; beyond it frames are dropped. */
#define BYTES_MAX (64u << 20)

struct frame {
  struct frame *next;
  int64_t due; /* nanoseconds, monotonic */
  size_t length;
  char bytes[];
};

struct line {
  int from, to;
  struct frame *first, **last;
  size_t bytes;
};

static void die(const char *what) {
  fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int tap_open(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

  if (fd < 0)
    die("/dev/net/tun");
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(fd, TUNSETIFF, &request) < 0)
    die(name);
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
    die("TUNSETOFFLOAD");
  return fd;
}

static int link_open(const char *name) {
  int one = 1;
  struct sockaddr_ll where = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(ETH_P_ALL),
      .sll_ifindex = (int)if_nametoindex(name),
  };
  struct packet_mreq all = {.mr_ifindex = where.sll_ifindex,
                            .mr_type = PACKET_MR_PROMISC};
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd < 0 || where.sll_ifindex == 0)
    die(name);
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0)
    die("packet socket");
  if (bind(fd, (struct sockaddr *)&where, sizeof where) < 0)
    die(name);
  return fd;
}

/* Take in all that has arrived. */
static void line_fill(struct line *line, int64_t delay) {
  static char buffer[FRAME_MAX];
  ssize_t n;

  while ((n = read(line->from, buffer, sizeof buffer)) > 0) {
    struct frame *f;

    if (line->bytes + (size_t)n > BYTES_MAX)
      continue;
    f = malloc(sizeof *f + (size_t)n);
    if (!f)
      die("memory");
    f->next = NULL;
    f->due = now() + delay;
    f->length = (size_t)n;
    memcpy(f->bytes, buffer, f->length);
    *line->last = f;
    line->last = &f->next;
    line->bytes += f->length;
  }
  if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN)
    die("the link is gone");
}

/* Send on all that is due. A frame the other side refuses is lost, as it would
 * be on a wire. */
static void line_drain(struct line *line) {
  int64_t t = now();

  while (line->first && line->first->due <= t) {
    struct frame *f = line->first;

    if (write(line->to, f->bytes, f->length) < 0 && errno == ENXIO)
      die("the link is gone");
    line->first = f->next;
    if (!line->first)
      line->last = &line->first;
    line->bytes -= f->length;
    free(f);
  }
}

static void line_due(const struct line *line, int64_t *first) {
  if (line->first && (*first < 0 || line->first->due < *first))
    *first = line->first->due;
}

int main(int argc, char **argv) {
  struct line up = {.last = &up.first}, down = {.last = &down.first};
  int64_t delay;

  if (argc != 4) {
    fprintf(stderr, "usage: delay TAP LINK MS\n");
    return 2;
  }
  delay = atoll(argv[3]) * 1000000;
  up.to = down.from = link_open(argv[2]);
  up.from = down.to = tap_open(argv[1]);
  for (;;) {
    struct pollfd fds[] = {{.fd = up.from, .events = POLLIN},
                           {.fd = down.from, .events = POLLIN}};
    struct timespec wait;
    int64_t first = -1, left;

    line_due(&up, &first);
    line_due(&down, &first);
    left = first < 0 ? 3600000000000 : first - now();
    if (left < 0)
      left = 0;
    wait.tv_sec = left / 1000000000;
    wait.tv_nsec = left % 1000000000;
    if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
      die("poll");
    if (if_nametoindex(argv[2]) == 0)
      die(argv[2]);
    line_fill(&up, delay);
    line_fill(&down, delay);
    line_drain(&up);
    line_drain(&down);
  }
}
