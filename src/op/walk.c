/*
 * walk.c - collapsing of shapes, odometers, and the one strided copy behind Transpose, Slice, Expand,
 * Tile, DepthToSpace and the like.
 *
 * A copy whose rows are contiguous in the source is memcpy per row. One whose rows are not, but which
 * has another axis that is (a transposition), goes through tiles of 16 x 16 elements, so that every
 * cache line of either side is used whole while it is there; a whole tile of bytes fits in registers.
 * Elements are moved by their size and never looked at; 16-byte ones are strings.
 */
#include "op/walk.h"

#include <string.h>

#define TILE 16

void walk_make(struct walk *walk, int rank, const int64_t *dims, int n, const struct tensor *const *operands)
{
    int64_t natural[WALK_OPERANDS][RANK_MAX];
    *walk = (struct walk){.n = n, .elements = 1};
    for (int k = 0; k < n; k++)
        tensor_strides(operands[k]->rank, operands[k]->dims, natural[k]);
    for (int axis = 0; axis < rank; axis++) {
        walk->elements *= dims[axis];
        if (dims[axis] == 1)
            continue;
        int64_t stride[WALK_OPERANDS] = {0};
        bool joins = walk->rank > 0;
        for (int k = 0; k < n; k++) {
            int own = axis - (rank - operands[k]->rank);
            if (own >= 0 && operands[k]->dims[own] != 1)
                stride[k] = natural[k][own];
            if (joins && walk->strides[k][walk->rank - 1] != stride[k] * dims[axis])
                joins = false;
        }
        int at = joins ? walk->rank - 1 : walk->rank++;
        walk->dims[at] = (joins ? walk->dims[at] : 1) * dims[axis];
        for (int k = 0; k < n; k++)
            walk->strides[k][at] = stride[k];
    }
    if (walk->rank == 0)
        walk->dims[walk->rank++] = 1;
}

void walk_range(const struct walk *walk, int64_t from, int64_t to, walk_visit *visit, void *arg)
{
    if (from >= to)
        return;
    int last = walk->rank - 1;
    int64_t inner = walk->dims[last];
    int64_t index[RANK_MAX] = {0}, at[WALK_OPERANDS] = {0};
    int64_t row = from / inner, skip = from % inner;
    for (int axis = last - 1; axis >= 0; axis--) {
        index[axis] = row % walk->dims[axis];
        row /= walk->dims[axis];
        for (int k = 0; k < walk->n; k++)
            at[k] += index[axis] * walk->strides[k][axis];
    }
    while (from < to) {
        int64_t n = inner - skip < to - from ? inner - skip : to - from;
        int64_t start[WALK_OPERANDS];
        for (int k = 0; k < walk->n; k++)
            start[k] = at[k] + skip * walk->strides[k][last];
        visit(arg, from, start, n);
        from += n;
        skip = 0;
        for (int axis = last - 1; axis >= 0; axis--) {
            bool carry = ++index[axis] == walk->dims[axis];
            int64_t moved = carry ? 1 - walk->dims[axis] : 1;
            for (int k = 0; k < walk->n; k++)
                at[k] += moved * walk->strides[k][axis];
            if (!carry)
                break;
            index[axis] = 0;
        }
    }
}

void walk_axis(struct walk_view *view, int64_t dim, int64_t stride)
{
    if (dim == 1)
        return;
    int last = view->rank - 1;
    if (last >= 0 && view->strides[last] == stride * dim) {
        view->dims[last] *= dim;
        view->strides[last] = stride;
        return;
    }
    view->dims[view->rank] = dim;
    view->strides[view->rank] = stride;
    view->rank++;
}

struct text16 {
    char bytes[16];
};

/* n elements at distances: the loops for each size. Pointers may be unaligned to nothing less than size. */
static void copy_row(char *y, int64_t y_step, const char *x, int64_t x_step, size_t size, int64_t n)
{
#define ROW(T)                                                                                                         \
    for (int64_t i = 0; i < n; i++)                                                                                    \
        memcpy(y + i * y_step * (int64_t)sizeof(T), x + i * x_step * (int64_t)sizeof(T), sizeof(T));
    switch (size) {
    case 1:
        ROW(uint8_t)
        break;
    case 2:
        ROW(uint16_t)
        break;
    case 4:
        ROW(uint32_t)
        break;
    case 8:
        ROW(uint64_t)
        break;
    default:
        ROW(struct text16)
    }
#undef ROW
}

/* A few elements one by one; then what is filled is copied, in pieces that stay in the nearest cache. */
void walk_fill(void *y, const void *x, size_t size, int64_t n)
{
    enum { FEW = 64, MOST_PIECE = 16384 };
    const size_t n_bytes = size * (size_t)n;
    size_t done = n < FEW ? n_bytes : FEW * size;
    copy_row(y, 1, x, 0, size, n < FEW ? n : FEW);
    while (done < n_bytes) {
        const size_t filled = done < MOST_PIECE ? done : MOST_PIECE / size * size;
        const size_t piece = filled < n_bytes - done ? filled : n_bytes - done;
        memcpy((char *)y + done, y, piece);
        done += piece;
    }
}

struct fill {
    char *y;
    const void *x;
    size_t size;
};

static void fill_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct fill *fill = arg;
    walk_fill(fill->y + from * (int64_t)fill->size, fill->x, fill->size, to - from);
}

void walk_fill_all(struct percept_team *team, void *y, const void *x, size_t size, int64_t n)
{
    struct fill fill = {.y = y, .x = x, .size = size};
    team_split(team, n, 4 * WALK_GRAIN, fill_range, &fill);
}

#define PART 262144 /* elements of a long row or of a plane that are copied at a time */

struct copy {
    char *y;
    const char *x;
    size_t size;
    struct walk_view view;
    int crossed;         /* axis that is contiguous in the source while the last is not; -1: none */
    int64_t length;      /* of the crossed axis, else of the last, */
    int64_t parts, part; /* which is copied in so many parts of so many elements */
    int64_t y_strides[WALK_RANK];
};

typedef uint8_t line __attribute__((vector_size(TILE)));

/* A tile of bytes. Its second half is shuffled into the first, byte by byte, four times: each time the eight
 * bits that say where a byte lies turn by one, so those of the line and those of the place in it change
 * sides. */
static void turn_bytes(char *y, int64_t y_row, const char *x, int64_t x_column)
{
    line lines[TILE], mixed[TILE];
    for (int i = 0; i < TILE; i++)
        memcpy(&lines[i], x + i * x_column, sizeof lines[i]);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < TILE / 2; i++) {
            const line a = lines[i], b = lines[i + TILE / 2];
            mixed[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            mixed[2 * i + 1] =
                __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(lines, mixed, sizeof lines);
    }
    for (int i = 0; i < TILE; i++)
        memcpy(y + i * y_row, &lines[i], sizeof lines[i]);
}

/* One plane of a transposition: rows of axis `crossed`, columns of the last axis. */
static void copy_plane(const struct copy *c, char *y, const char *x, int64_t from, int64_t rows)
{
    int last = c->view.rank - 1;
    int64_t size = (int64_t)c->size;
    int64_t columns = c->view.dims[last];
    int64_t y_row = c->y_strides[c->crossed], x_column = c->view.strides[last];
    for (int64_t r = from; r < rows; r += TILE) {
        int64_t n_rows = rows - r < TILE ? rows - r : TILE;
        for (int64_t k = 0; k < columns; k += TILE) {
            int64_t n_columns = columns - k < TILE ? columns - k : TILE;
            if (size == 1 && n_rows == TILE && n_columns == TILE) {
                turn_bytes(y + r * y_row + k, y_row, x + r + k * x_column, x_column);
                continue;
            }
            for (int64_t i = r; i < r + n_rows; i++)
                copy_row(y + (i * y_row + k) * size, 1, x + (i + k * x_column) * size, x_column, c->size, n_columns);
        }
    }
}

static void copy_line(const struct copy *c, char *y, const char *x, int64_t from, int64_t to)
{
    int64_t n = to - from, stride = c->view.strides[c->view.rank - 1];
    y += from * (int64_t)c->size;
    x += from * stride * (int64_t)c->size;
    if (stride == 1)
        memcpy(y, x, (size_t)n * c->size);
    else
        copy_row(y, 1, x, stride, c->size, n);
}

static void copy_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct copy *c = arg;
    for (int64_t piece = from; piece < to; piece++) {
        int64_t rest = piece / c->parts, x_at = 0, y_at = 0;
        int64_t part = piece % c->parts * c->part;
        int64_t end = part + c->part < c->length ? part + c->part : c->length;
        for (int axis = c->view.rank - 2; axis >= 0; axis--) {
            if (axis == c->crossed)
                continue;
            int64_t index = rest % c->view.dims[axis];
            rest /= c->view.dims[axis];
            x_at += index * c->view.strides[axis];
            y_at += index * c->y_strides[axis];
        }
        char *y = c->y + y_at * (int64_t)c->size;
        const char *x = c->x + x_at * (int64_t)c->size;
        if (c->crossed >= 0)
            copy_plane(c, y, x, part, end);
        else
            copy_line(c, y, x, part, end);
    }
}

void walk_copy(struct percept_team *team, void *y, const void *x, size_t size, const struct walk_view *view)
{
    struct copy c = {.y = y, .x = x, .size = size, .view = *view, .crossed = -1};
    if (c.view.rank == 0) {
        c.view.rank = 1;
        c.view.dims[0] = c.view.strides[0] = 1;
    }
    int last = c.view.rank - 1;
    int64_t n = 1;
    for (int axis = last; axis >= 0; axis--) {
        c.y_strides[axis] = n;
        n *= c.view.dims[axis];
        if (axis < last && c.view.strides[axis] == 1 && c.view.strides[last] > 1)
            c.crossed = axis;
    }
    if (n == 0)
        return;
    int64_t columns = c.crossed >= 0 ? c.view.dims[last] : 1;
    c.length = c.view.dims[c.crossed >= 0 ? c.crossed : last];
    c.part = (PART / columns + TILE) / TILE * TILE;
    c.parts = (c.length + c.part - 1) / c.part;
    int64_t piece = (c.part < c.length ? c.part : c.length) * columns;
    team_split(team, n / (c.length * columns) * c.parts, 1 + WALK_GRAIN / piece, copy_pieces, &c);
}
