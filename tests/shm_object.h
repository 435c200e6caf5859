/*
 * shm_object.h - for tests: an object in /dev/shm as a client makes it, called test-shm-PID-LETTER.
 *
 *     struct shm_object object = shm_object_new('a', "0123", 4);
 *     ... object.key is "/test-shm-17-a"
 *     shm_object_free(&object);
 */
#ifndef TESTS_SHM_OBJECT_H
#define TESTS_SHM_OBJECT_H

#include <stddef.h>

#define SHM_OBJECT_PREFIX "test-shm-"

struct shm_object {
    int fd;
    char key[64];
};

struct shm_object shm_object_new(char letter, const void *bytes, size_t n_bytes);
void shm_object_resize(const struct shm_object *object, size_t n_bytes);
void shm_object_read(const struct shm_object *object, size_t offset, void *to, size_t n_bytes);
void shm_object_free(struct shm_object *object);

#endif
