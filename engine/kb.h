/* What every file of the engine may use: the closed list of errors, the check
** that is always compiled in, and the functions that open our libraries. */
#ifndef KB_H
#define KB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Results below 0. The order is that of the table in bind.c. */
enum kb_error {
  KB_EAGAIN = -1,     /* not a failure: nothing to do until something arrives */
  KB_ETIMEDOUT = -2,  /* a deadline passed */
  KB_ECANCELLED = -3, /* the task that waited was cancelled */
  KB_ECLOSED = -4,    /* the other side, or we ourselves, closed it */
  KB_ENOMEM = -5,     /* no memory */
  KB_EINVAL = -6,     /* the data is not of the form it must have */
  KB_EPROTO = -7,     /* the other side broke the protocol */
  KB_ESYSTEM = -8,    /* the kernel refused: errno tells */
  KB_EREFUSED = -9    /* the other side said no, and all else goes on */
};

/* Nanoseconds of the monotonic clock; KB_NEVER is later than any of them. */
typedef int64_t kb_time;
#define KB_NEVER  INT64_MAX
#define KB_SECOND INT64_C(1000000000)

/* Stop at once when what the program rests on is not so. */
#define KB_MUST(x) ((x) ? (void)0 : kb_must_failed(#x, __FILE__, __LINE__))
_Noreturn void kb_must_failed(const char *what, const char *file, int line);

#define KB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of the given type whose member is at ptr. */
#define KB_OWNER(ptr, type, member)                                            \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
