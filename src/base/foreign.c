/*
 * foreign.c - magic numbers of what people take for a model: other frameworks' files, archives,
 * pages and pointers saved in a file's place.
 *
 * A row is a magic at an offset. What has no magic is looked at by rules: text (in UTF-8, UTF-16,
 * HTML, JSON), zeros, safetensors (a length and JSON), pickles (a protocol and a final stop). ZIP
 * archives are told apart by the names of their first members, which lie in the clear.
 *
 * Sources: Git LFS's specification (docs/spec.md); the FlatBuffers schemas of TFLite and ONNX
 * Runtime, whose identifiers are the bytes 4 to 7; the file signatures that the formats'
 * specifications give.
 */
#include "base/foreign.h"

#include "base/utf8.h"

#define LOOK_BYTES ((size_t)64 << 10) /* how much of a file rules look at */

#define EXPORT_TORCH "export the network with torch.onnx.export"
#define EXPORT_KERAS "convert it with tf2onnx (python -m tf2onnx.convert --keras or --saved-model)"
#define EXPORT_SOURCE "export the network to ONNX from the framework that trained it"
#define DOWNLOAD "the download went wrong: fetch the file itself"

static const struct {
    const char *magic;
    size_t at, n;
    struct foreign kind;
} rows[] = {
#define ROW(at, magic, what, remedy)                                                                                   \
    {                                                                                                                  \
        magic, at, sizeof magic - 1,                                                                                   \
        {                                                                                                              \
            what, remedy                                                                                               \
        }                                                                                                              \
    }
    ROW(0, "\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves weights and models", EXPORT_KERAS),
    ROW(4, "TFL3", "a TFLite model", "convert it with tf2onnx (python -m tf2onnx.convert --tflite)"),
    ROW(4, "ORTM", "a model in ONNX Runtime's own format (.ort)", "name the .onnx file that it was made from"),
    ROW(0, "/annex/objects/", "a git-annex pointer, not the file itself", "run `git annex get` where it was cloned"),
    ROW(0, "GGUF", "a GGUF file, as llama.cpp reads", EXPORT_SOURCE),
    ROW(0, "tjgg", "a GGML file, as llama.cpp read", EXPORT_SOURCE),
    ROW(0, "ftrt", "a TensorRT engine", "name the .onnx file that it was built from"),
    ROW(0, "ptrt", "a TensorRT engine", "name the .onnx file that it was built from"),
    ROW(0, "RKNN", "an RKNN model", "name the .onnx file that it was built from"),
    ROW(0, "7767517\n", "an ncnn network", EXPORT_SOURCE),
    ROW(0, "\x93NUMPY", "a NumPy array", "name the .onnx file; `perceptd run` takes arrays as --input"),
    ROW(0, "\x1f\x8b\x08", "gzip-compressed", "decompress it with gunzip"),
    ROW(0, "\x28\xb5\x2f\xfd", "zstd-compressed", "decompress it with zstd -d"),
    ROW(0,
        "\xfd"
        "7zXZ\0",
        "xz-compressed", "decompress it with unxz"),
    ROW(0, "BZh91AY&SY", "bzip2-compressed", "decompress it with bunzip2"),
    ROW(0, "\x04\x22\x4d\x18", "lz4-compressed", "decompress it with lz4 -d"),
    ROW(0, "7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the .onnx file in it"),
    ROW(0, "Rar!\x1a\x07", "a RAR archive", "unpack it and name the .onnx file in it"),
    ROW(257, "ustar", "a tar archive", "unpack it (tar xf) and name the .onnx file in it"),
    ROW(0, "\x89PNG\r\n\x1a\n", "a PNG picture", "name the model's .onnx file"),
    ROW(0, "\xff\xd8\xff", "a JPEG picture", "name the model's .onnx file"),
    ROW(0, "GIF8", "a GIF picture", "name the model's .onnx file"),
    ROW(0, "%PDF-", "a PDF document", "name the model's .onnx file"),
    ROW(0,
        "\x7f"
        "ELF",
        "a program or library (ELF)", "name the model's .onnx file"),
    ROW(0, "\xac\xed\x00\x05", "a serialized Java object", EXPORT_SOURCE),
    ROW(0, "SQLite format 3", "an SQLite database", "name the model's .onnx file"),
    ROW(0, "PAR1", "a Parquet table", "name the model's .onnx file"),
    ROW(0, "MATLAB 5.0 MAT-file", "a MATLAB file", "export the network with exportONNXNetwork"),
#undef ROW
};

/* What rules find. */
static const struct foreign git_lfs = {"a Git LFS pointer, not the file itself",
                                       "run `git lfs pull` where it was cloned"};
static const struct foreign zeros = {"a file of zero bytes alone", "a copy or download was cut off: fetch it again"};
static const struct foreign html = {"an HTML page", DOWNLOAD};
static const struct foreign openvino = {"an OpenVINO network (.xml and .bin)",
                                        "name the .onnx file that it was converted from"};
static const struct foreign xml = {"an XML text, perhaps a server's refusal", DOWNLOAD};
static const struct foreign json = {"a JSON text", "name the model's .onnx file"};
static const struct foreign text = {"a text", "name the model's .onnx file"};
static const struct foreign utf16 = {"a text or page in UTF-16", DOWNLOAD};
static const struct foreign safetensors = {"a safetensors file, which has weights and no network", EXPORT_SOURCE};
static const struct foreign pickle = {"a Python pickle (of scikit-learn, joblib or PyTorch)",
                                      "convert it with skl2onnx or torch.onnx.export"};
static const struct foreign torch = {"a PyTorch file", EXPORT_TORCH};
static const struct foreign torch_zip = {"a ZIP archive of PyTorch (.pt, .pth)", EXPORT_TORCH};
static const struct foreign keras_zip = {"a ZIP archive of Keras (.keras)", EXPORT_KERAS};
static const struct foreign npz = {"a ZIP archive of NumPy arrays (.npz)", "name the model's .onnx file"};
static const struct foreign zip = {"a ZIP archive", "unpack it and name the .onnx file in it"};

static bool holds(struct bytes file, const char *what)
{
    return memmem(file.at, bytes_size(file), what, strlen(what)) != NULL;
}

static struct bytes first(struct bytes file, size_t n)
{
    return bytes_size(file) < n ? file : bytes_of(file.at, n);
}

const struct foreign *foreign_pointer(struct bytes file)
{
    static const char magic[] = "version https://git-lfs.github.com/spec/";
    static const char older[] = "version https://hawser.github.com/spec/";
    bool is = bytes_begin_text(file, magic) || bytes_begin_text(file, older);
    return is && bytes_size(file) <= FOREIGN_POINTER_MAX ? &git_lfs : NULL;
}

static const struct foreign *find_zip(struct bytes file)
{
    if (!bytes_begin(file, "PK\x03\x04", 4))
        return NULL;
    struct bytes head = first(file, LOOK_BYTES);
    if (holds(head, "data.pkl"))
        return &torch_zip;
    if (holds(head, "metadata.json") && holds(head, "config.json"))
        return &keras_zip;
    return holds(head, ".npy") ? &npz : &zip;
}

/* torch.save's old form is several pickles, the first of which is this number. */
static const struct foreign *find_pickle(struct bytes file)
{
    static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    static const char *const texts[] = {"(dp", "(lp", "(ip", "ccopy_reg\n", "c__builtin__\n", "csklearn"};
    size_t n = bytes_size(file);
    for (size_t i = 0; n && i < sizeof texts / sizeof *texts; i++)
        if (bytes_begin_text(file, texts[i]) && file.end[-1] == '.')
            return &pickle; /* of protocol 0 */
    if (n < 4 || file.at[0] != 0x80 || file.at[1] < 2 || file.at[1] > 5)
        return NULL;
    if (bytes_begin_text(bytes_of(file.at + 2, n - 2), magic))
        return &torch;
    return file.end[-1] == '.' ? &pickle : NULL;
}

/* Eight bytes that count those of the JSON object that follows. */
static const struct foreign *find_safetensors(struct bytes file)
{
    uint64_t n = 0;
    if (bytes_size(file) < 10 || file.at[8] != '{' || (file.at[9] != '"' && file.at[9] != '}'))
        return NULL;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | file.at[i];
    return n >= 2 && n <= 100000000 ? &safetensors : NULL;
}

/* UTF-8 without control characters. What was cut at the end of the look may end in half a one. */
static bool is_text(struct bytes file)
{
    struct bytes head = first(file, LOOK_BYTES);
    for (const uint8_t *at = head.at, *next; at < head.end; at = next) {
        uint32_t code;
        next = utf8_read(at, head.end, &code);
        if (!next)
            return at > head.at && head.end - at < 4 && bytes_size(file) >= 512;
        if ((code < 0x20 && !strchr("\t\n\r\f", (int)code)) || code == 0 || code == 0x7f)
            return false;
    }
    return head.at < head.end;
}

static bool is_utf16(struct bytes file)
{
    size_t n = bytes_size(file);
    if (n < 4 || n % 2)
        return false;
    if (utf8_is_wide(file))
        return true;
    size_t odd = file.at[0] == 0; /* which of two bytes is the letter */
    for (size_t i = 0; i < n && i < 64; i += 2)
        if (file.at[i + 1 - odd] != 0 || file.at[i + odd] < '\t' || file.at[i + odd] > '~')
            return false;
    return true;
}

static bool begins_tag(struct bytes file, const char *tag)
{
    size_t n = strlen(tag);
    return bytes_size(file) >= n && strncasecmp((const char *)file.at, tag, n) == 0;
}

static const struct foreign *find_text(struct bytes file)
{
    if (is_utf16(file))
        return &utf16;
    if (!is_text(file))
        return NULL;
    struct bytes head = utf8_past_mark(first(file, LOOK_BYTES));
    while (head.at < head.end && strchr(" \t\r\n", *head.at))
        head.at++;
    if (begins_tag(head, "<!doctype html") || begins_tag(head, "<html") || begins_tag(head, "<head"))
        return &html;
    if (begins_tag(head, "<?xml") || begins_tag(head, "<net "))
        return holds(head, "<html") ? &html : holds(head, "<net ") ? &openvino : &xml;
    return head.at < head.end && (*head.at == '{' || *head.at == '[') ? &json : &text;
}

static bool is_zeros(struct bytes file)
{
    size_t n = bytes_size(file);
    return n >= 16 && file.at[0] == 0 && memcmp(file.at, file.at + 1, n - 1) == 0;
}

const struct foreign *foreign_find(struct bytes file)
{
    const struct foreign *kind = foreign_pointer(file);
    for (size_t i = 0; !kind && i < sizeof rows / sizeof *rows; i++)
        if (bytes_size(file) > rows[i].at &&
            bytes_begin((struct bytes){file.at + rows[i].at, file.end}, rows[i].magic, rows[i].n))
            kind = &rows[i].kind;
    kind = kind ? kind : find_zip(file);
    kind = kind ? kind : find_pickle(file);
    kind = kind ? kind : find_safetensors(file);
    kind = kind ? kind : is_zeros(file) ? &zeros : NULL;
    return kind ? kind : find_text(file);
}
