/*
 * blas.c - the door to OpenBLAS, for products whose both sides are known only at run time.
 *
 * The library is loaded at the first product, not linked: a program linked with it starts 3 ms
 * later and 2.6 MB larger (measured: 1.4 against 4.0 MB resident), whether or not a model ever
 * needs it. So pthread_once opens it; where it is missing or refuses, plain loops in the same file
 * do the work, correctly and slowly. We want its serial build: if the system provides a threaded
 * one instead, it is told to use one thread, since the cores are the scheduler's to give.
 *
 * OpenBLAS counts in int and insists on row distances that rows fit in; what does not satisfy it
 * (more than 2^31 rows, empty products, rows repeated by a distance of 0) takes the loops too. Its
 * bits differ with m: one call per item, never with a batch folded into m. Any thread may call.
 *
 * Each thread that is inside OpenBLAS has a buffer of its own there, 128 MB of address space on
 * x86-64, and when it cannot have one OpenBLAS tries again for ever. So a thread looks whether
 * there is room before its first call; as long as there is none (ulimit -v, strict overcommit) the
 * loops do its work.
 */
#include "kernel/kernel.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

static __typeof__(&cblas_sgemm) library_gemm;

static void open_library(void)
{
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        return;
    void (*set_threads)(int) = NULL;
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (set_threads)
        set_threads(1);
    *(void **)&library_gemm = dlsym(library, "cblas_sgemm");
}

/* Is there room for this thread's buffer, and as much again for what others take meanwhile? */
static bool has_room(void)
{
    static _Thread_local bool found;
    const size_t n_bytes = (size_t)256 << 20;
    if (!found) {
        void *room =
            mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        found = room != MAP_FAILED && munmap(room, n_bytes) == 0;
    }
    return found;
}

/* c = beta c, where beta = 0 reads nothing. */
static void scale_rows(int64_t m, int64_t n, float beta, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

static void multiply(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                     const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                     int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) {
            const float x = alpha * (trans_a ? a[p * lda + i] : a[i * lda + p]);
            for (int64_t j = 0; j < n; j++)
                c[i * ldc + j] += x * (trans_b ? b[j * ldb + p] : b[p * ldb + j]);
        }
}

/* A matrix as OpenBLAS takes it: counts that are ints, rows that do not overlap. */
static bool acceptable(int64_t rows, int64_t columns, int64_t ld)
{
    return rows > 0 && columns > 0 && rows <= INT_MAX && columns <= INT_MAX && ld <= INT_MAX &&
           (ld >= columns || rows == 1);
}

/* The distance between rows; of a single row it means nothing, but must look right. */
static int distance(int64_t columns, int64_t ld)
{
    return (int)(ld >= columns ? ld : columns);
}

void blas_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
               const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
               int64_t ldc)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    const int64_t a_rows = trans_a ? k : m, a_columns = trans_a ? m : k;
    const int64_t b_rows = trans_b ? n : k, b_columns = trans_b ? k : n;
    if (library_gemm && has_room() && acceptable(a_rows, a_columns, lda) &&
        acceptable(b_rows, b_columns, ldb) && acceptable(m, n, ldc)) {
        library_gemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                     trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
                     distance(a_columns, lda), b, distance(b_columns, ldb), beta, c,
                     distance(n, ldc));
        return;
    }
    scale_rows(m, n, beta, c, ldc);
    multiply(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, c, ldc);
}
