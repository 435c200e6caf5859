/*
 * notice.h - the kernel's word that something has changed in the folders that models lie in (inotify). It says that
 * somebody should look, never what has changed; where it is silent (network file systems) nobody is told.
 *
 *     int fd = notice_open();                        -1: there is none
 *     notice_follow(fd, &survey, roots);             after each look, for folders come and go
 *     if (notice_heard(fd)) ...                      when it can be read: look again
 *     close(fd);
 *
 * Threads: notice_follow any, one at a time.
 */
#ifndef SERVE_NOTICE_H
#define SERVE_NOTICE_H

#include "serve/survey.h"

int notice_open(void);

/* Follows the folders of all that was seen, and of what was left out. Those that cannot be followed are passed over. */
void notice_follow(int fd, struct survey *survey, const struct root *roots);

/* Takes everything that was said since the last time. Was anything? */
bool notice_heard(int fd);

#endif
