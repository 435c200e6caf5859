/*
 * sd.h - what systemd and a service tell each other: readiness, status, signs of life, passed
 * sockets. The protocols are datagrams and environment variables; no library is needed. Outside
 * systemd all of this does nothing. Thread: the loop's.
 */
#ifndef SD_H
#define SD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends "READY=1\nSTATUS=..." to $NOTIFY_SOCKET. False when nobody wants to know or it failed. */
bool sd_tell(const char *state);
bool sd_tellf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for a STATUS behind `state` ("READY=1", or ""): line ends in it become spaces. */
bool sd_tell_status(const char *state, const char *status);

/* Does a service manager look on, or hold our socket? Then it starts us again whenever we end. */
bool sd_watched(void);

/* How often, in microseconds, systemd expects WATCHDOG=1 from this process; 0: never. */
int64_t sd_watchdog_us(void);

/* Sockets that were passed to this process; the first is SD_FIRST_FD. */
int sd_sockets(void);
#define SD_FIRST_FD 3

/* What the unit calls that one (FileDescriptorName=), "" where it has no name. False when that is longer. */
bool sd_socket_name(int i, char *name, size_t n_bytes);

#endif
