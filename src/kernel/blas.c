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
 *
 * Within a call it adds up as many products in one chain as its cache blocks are deep (several hundred). So k is
 * cut into parts of BLAS_PART products, which are added to c one after another; of a very long k, BLAS_PARTS
 * of these are added up aside, and go on in double. That keeps an error to some BLAS_PART / 2 roundings of
 * the sum of the absolute terms at worst, and usually to a dozen, whatever k.
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
        void *room = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        found = room != MAP_FAILED && munmap(room, n_bytes) == 0;
    }
    return found;
}

enum { BLAS_PART = 128, BLAS_PARTS = 64, BLAS_TILE = 64 };

/* Both sides and how they lie. */
struct sides {
    bool trans_a, trans_b;
    const float *a, *b;
    int64_t lda, ldb;
    float alpha;
};

static const float *a_at(const struct sides *s, int64_t i, int64_t p)
{
    return s->a + (s->trans_a ? p * s->lda + i : i * s->lda + p);
}

static const float *b_at(const struct sides *s, int64_t p, int64_t j)
{
    return s->b + (s->trans_b ? j * s->ldb + p : p * s->ldb + j);
}

/* c = sum + beta c, where beta = 0 reads nothing. */
static float total_of(double sum, float beta, float c)
{
    return (float)(beta == 0 ? sum : sum + (double)beta * (double)c);
}

/* Without the library: some columns of a row at a time. */
static void multiply(const struct sides *s, int64_t m, int64_t n, int64_t k, float beta, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j += BLAS_TILE) {
            const int64_t some = n - j < BLAS_TILE ? n - j : BLAS_TILE;
            double sums[BLAS_TILE] = {0};
            for (int64_t p = 0; p < k; p++) {
                const double x = (double)s->alpha * (double)*a_at(s, i, p);
                for (int64_t l = 0; l < some; l++)
                    sums[l] += x * (double)*b_at(s, p, j + l);
            }
            for (int64_t l = 0; l < some; l++)
                c[i * ldc + j + l] = total_of(sums[l], beta, c[i * ldc + j + l]);
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

/* Rows from i, columns from j, products [from, to): a part at a time. */
static void multiply_parts(const struct sides *s, int64_t i, int64_t j, int64_t m, int64_t n, int64_t from, int64_t to,
                           float beta, float *c, int64_t ldc)
{
    for (int64_t p = from; p < to; p += BLAS_PART) {
        const int64_t part = to - p < BLAS_PART ? to - p : BLAS_PART;
        library_gemm(CblasRowMajor, s->trans_a ? CblasTrans : CblasNoTrans, s->trans_b ? CblasTrans : CblasNoTrans,
                     (int)m, (int)n, (int)part, s->alpha, a_at(s, i, p), distance(s->trans_a ? m : part, s->lda),
                     b_at(s, p, j), distance(s->trans_b ? part : n, s->ldb), p == from ? beta : 1, c, distance(n, ldc));
    }
}

/* A k of more than BLAS_PARTS parts, tile by tile. */
static void multiply_long(const struct sides *s, int64_t m, int64_t n, int64_t k, float beta, float *c, int64_t ldc)
{
    const int64_t most = BLAS_PART * BLAS_PARTS;
    for (int64_t i = 0; i < m; i += BLAS_TILE)
        for (int64_t j = 0; j < n; j += BLAS_TILE) {
            const int64_t rows = m - i < BLAS_TILE ? m - i : BLAS_TILE;
            const int64_t columns = n - j < BLAS_TILE ? n - j : BLAS_TILE;
            double totals[BLAS_TILE * BLAS_TILE] = {0};
            float sums[BLAS_TILE * BLAS_TILE];
            for (int64_t p = 0; p < k; p += most) {
                multiply_parts(s, i, j, rows, columns, p, k - p < most ? k : p + most, 0, sums, columns);
                for (int64_t l = 0; l < rows * columns; l++)
                    totals[l] += (double)sums[l];
            }
            for (int64_t l = 0; l < rows * columns; l++) {
                float *to = c + (i + l / columns) * ldc + j + l % columns;
                *to = total_of(totals[l], beta, *to);
            }
        }
}

void blas_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    const struct sides sides = {trans_a, trans_b, a, b, lda, ldb, alpha};
    const int64_t a_rows = trans_a ? k : m, a_columns = trans_a ? m : k;
    const int64_t b_rows = trans_b ? n : k, b_columns = trans_b ? k : n;
    if (!library_gemm || !has_room() || !acceptable(a_rows, a_columns, lda) || !acceptable(b_rows, b_columns, ldb) ||
        !acceptable(m, n, ldc))
        multiply(&sides, m, n, k, beta, c, ldc);
    else if (k > BLAS_PART * BLAS_PARTS)
        multiply_long(&sides, m, n, k, beta, c, ldc);
    else
        multiply_parts(&sides, 0, 0, m, n, 0, k, beta, c, ldc);
}
