/*
 * folder.h - a folder of a test's own, gone with all that is in it when the test ends.
 *
 *     folder_begin("scan");                         /tmp/perceptd-scan-...
 *     folder_text("a/1/manifest.json", "{}");       a/1 is made as well
 *     ... folder_root, folder_at("a") ...
 *     folder_end();
 *
 * One at a time in a process. Paths that folder_at gave live to folder_end.
 */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <stddef.h>

extern char folder_root[64];

/* In TMPDIR, or /tmp. */
void folder_begin(const char *name);
void folder_end(void);

/* A path below the folder, whether or not there is anything. */
char *folder_at(const char *name);

/* Makes the folders on the way and writes the file. */
void folder_put(const char *name, const void *data, size_t n);
void folder_text(const char *name, const char *text);

/* Files of one byte, which is no model and no JSON. */
#define folder_files(...) folder_put_all((const char *const[]){__VA_ARGS__, NULL})
void folder_put_all(const char *const *names);

#endif
