/*
 * notice.c - see notice.h. A folder is followed by its inode, so a link is followed to where it leads now; when it is
 * swapped, the folder that the link lies in tells, and the next look follows the new one. The kernel forgets folders
 * that are gone by itself.
 */
#include "serve/notice.h"

#include "base/file.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define CHANGES                                                                                                        \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PIECE_BYTES 4096

int notice_open(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static void follow(int fd, const char *folder)
{
    if (folder)
        (void)inotify_add_watch(fd, folder, CHANGES);
}

/* A folder is not followed for what lies outside of the path that was named. */
static bool is_within(const char *folder, const char *root)
{
    size_t n = strlen(root);
    return strncmp(folder, root, n) == 0 && (folder[n] == '/' || folder[n] == '\0');
}

/* The folder of the file, of its manifest, and the one around both, where new versions come. */
static void follow_sighting(int fd, struct arena *arena, const struct sighting *at)
{
    const char *folder = file_dirname(arena, at->found.path);
    const char *outer = folder ? file_dirname(arena, folder) : NULL;
    const char *root = file_absolute(arena, scan_place(at->root->path));
    follow(fd, folder);
    follow(fd, at->found.folder);
    if (outer && root && is_within(outer, root))
        follow(fd, outer);
}

static void follow_root(int fd, struct arena *arena, const char *place)
{
    follow(fd, file_is_folder(place) ? place : file_dirname(arena, place));
}

void notice_follow(int fd, struct survey *survey, const struct root *roots)
{
    struct arena *arena = &survey->scan.arena;
    for (const struct root *root = roots; root; root = root->next)
        follow_root(fd, arena, scan_place(root->path));
    for (const struct sighting *at = survey->first; at; at = at->next)
        follow_sighting(fd, arena, at);
    for (const struct omitted *at = survey->scan.first_omitted; at; at = at->next)
        follow(fd, at->path);
}

bool notice_heard(int fd)
{
    char piece[PIECE_BYTES];
    bool heard = false;
    while (read(fd, piece, sizeof piece) > 0)
        heard = true;
    return heard;
}
