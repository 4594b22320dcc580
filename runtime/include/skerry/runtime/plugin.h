/* Runtime plugin C ABI, version 1: the contract between skerry-worker (the host) and a shared
 * library that wraps one inference engine. Written for authors of plugins; the host's C++ side is
 * skerry/runtime/plugin_host.hpp, the conformance suite the program skerry-plugin-check.
 *
 * Rules for both sides
 * - Every structure starts with `size`, the number of bytes its maker knows. Fields are appended,
 *   never changed; a field beyond `size` does not exist and reads as zero.
 * - Strings are UTF-8 with explicit length and without terminator; they may be empty.
 * - A function that can fail returns SKERRY_OK or a SKERRY_E… value and fills `error` (never null)
 *   with a message for people that says what, where and what to do.
 * - Nothing is thrown across the ABI; no FILE* and no allocator crosses it. Whoever makes a thing
 *   frees it, by the function named here.
 * - A model comes as open file descriptors, never as a path. Descriptors are borrowed: they stay
 *   open until `unload` returns (until the call returns for `estimate` and `quantize`) and are
 *   closed by the host. The plugin may move the descriptor's own offset; the host never uses it.
 * - `init` runs before the worker has restricted itself and may open the engine's own libraries.
 *   After it, the process may have no file system, no network and no new programs: threads, memory
 *   and the descriptors given are all there is.
 * - Threads: `init`, `fini`, `load`, `unload` and every `step` call come from one thread at a time.
 *   `infer.run` may be called from up to `skerry_model_info.max_concurrency` threads,
 * `infer.cancel` and `step.interrupt` from any thread at any time between `load` and `unload`.
 */
#ifndef SKERRY_RUNTIME_PLUGIN_H
#define SKERRY_RUNTIME_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SKERRY_ABI_MAJOR 1u
#define SKERRY_ABI_MINOR 0u
#define SKERRY_EXPORT __attribute__((visibility("default")))

/* ---- Results ----------------------------------------------------------------------------------
 */

enum {
  SKERRY_OK = 0,
  SKERRY_E_INVALID = 1,     /* the request is wrong: shape, type, unknown option, bad template */
  SKERRY_E_MODEL = 2,       /* the model file is malformed or of a kind the engine does not run */
  SKERRY_E_MEMORY = 3,      /* not enough memory */
  SKERRY_E_CANCELLED = 4,   /* stopped by `interrupt`, `cancel` or the host's `should_stop` */
  SKERRY_E_UNSUPPORTED = 5, /* this plugin or this model cannot do it */
  SKERRY_E_CONTEXT = 6,     /* does not fit the context window */
  SKERRY_E_NO_SPACE = 7, /* decode: no free KV cells now; nothing changed, retry with fewer rows */
  SKERRY_E_ENGINE = 8,   /* the engine failed; the model can still be used */
  SKERRY_E_FATAL = 9,    /* the engine failed; the worker must be replaced */
  SKERRY_E_IO = 10       /* reading or writing a descriptor failed */
};

typedef struct skerry_error {
  size_t size;
  char message[1024]; /* NUL-terminated, owned by the caller */
} skerry_error;

typedef struct skerry_str {
  const char* data;
  size_t size;
} skerry_str;

typedef struct skerry_option {
  skerry_str key;
  skerry_str value;
} skerry_option;

/* ---- Tensors ----------------------------------------------------------------------------------
 */

/* All datatypes of the Open Inference Protocol v2, and BF16. Values are little-endian, row-major,
 * packed. BYTES elements are each a little-endian uint32 length followed by that many bytes. */
enum {
  SKERRY_TYPE_BOOL = 1,
  SKERRY_TYPE_UINT8 = 2,
  SKERRY_TYPE_UINT16 = 3,
  SKERRY_TYPE_UINT32 = 4,
  SKERRY_TYPE_UINT64 = 5,
  SKERRY_TYPE_INT8 = 6,
  SKERRY_TYPE_INT16 = 7,
  SKERRY_TYPE_INT32 = 8,
  SKERRY_TYPE_INT64 = 9,
  SKERRY_TYPE_FP16 = 10,
  SKERRY_TYPE_FP32 = 11,
  SKERRY_TYPE_FP64 = 12,
  SKERRY_TYPE_BYTES = 13,
  SKERRY_TYPE_BF16 = 14
};

#define SKERRY_MAX_RANK 8u

typedef struct skerry_tensor {
  size_t size;
  skerry_str name;
  uint32_t datatype;
  uint32_t rank;        /* at most SKERRY_MAX_RANK */
  const int64_t* shape; /* `rank` values, each >= 0 */
  const void* data;
  uint64_t bytes;
} skerry_tensor;

/* What a model takes or gives. A dimension of -1 may have any size. */
typedef struct skerry_tensor_info {
  size_t size;
  skerry_str name;
  uint32_t datatype;
  uint32_t rank;
  const int64_t* shape;
} skerry_tensor_info;

/* ---- Host services ----------------------------------------------------------------------------
 */

enum { SKERRY_LOG_DEBUG = 0, SKERRY_LOG_INFO = 1, SKERRY_LOG_WARNING = 2, SKERRY_LOG_ERROR = 3 };

enum {
  SKERRY_MEMORY_WEIGHTS_MAPPED = 1, /* clean pages of the model file, shared between workers */
  SKERRY_MEMORY_WEIGHTS = 2,        /* private copies: repacked or converted weights */
  SKERRY_MEMORY_KV = 3,
  SKERRY_MEMORY_COMPUTE = 4
};

typedef struct skerry_memory_item {
  uint32_t kind;
  uint32_t reserved;
  uint64_t bytes;
} skerry_memory_item;

/* Given to `init`; lives until `fini` returned. Every function is thread-safe and does not block
 * for long. */
typedef struct skerry_host {
  size_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  void* ctx; /* first argument of each function below */
  /* One line of text; never prompt or answer text. */
  void (*log)(void* ctx, uint32_t level, skerry_str message);
  /* CLOCK_BOOTTIME in nanoseconds. */
  uint64_t (*now_ns)(void* ctx);
  /* "I am alive and getting on": call at least once a second in work longer than that. The
   * watchdog kills a worker that neither returns nor calls it. */
  void (*heartbeat)(void* ctx);
  /* Non-zero: stop the work in hand as soon as possible and return SKERRY_E_CANCELLED. */
  int (*should_stop)(void* ctx);
} skerry_host;

/* ---- Models -----------------------------------------------------------------------------------
 */

typedef struct skerry_file {
  size_t size;
  skerry_str name; /* as in the manifest, a plain file name: "model.onnx", "weights.bin" */
  skerry_str role; /* "model" (exactly one), "external-data", "projector", "adapter", … */
  int fd;          /* open for reading, borrowed */
  uint32_t reserved;
  uint64_t offset; /* the file's first byte within the descriptor */
  uint64_t length;
  uint8_t sha256[32]; /* verified by the host through this descriptor */
} skerry_file;

typedef struct skerry_model_source {
  size_t size;
  const skerry_file* files;
  size_t file_count;
  uint8_t digest[32]; /* the model's identity; each request carries it */
} skerry_model_source;

typedef struct skerry_load_options {
  size_t size;
  skerry_str accelerator;       /* "cpu", "cuda", "vulkan", …; refuse one that is not available */
  uint32_t context_length;      /* tokens shared by all sequences; 0: the model's own */
  uint32_t max_sequences;       /* sequences decoded together, >= 1 */
  uint32_t max_rows;            /* most rows the host passes to one `decode`, >= 1 */
  uint32_t threads;             /* compute threads, >= 1; none may spin until set_threads says so */
  uint64_t memory_limit;        /* bytes, 0: none; refuse with SKERRY_E_MEMORY what cannot fit */
  const skerry_option* options; /* plugin-specific; refuse an unknown key */
  size_t option_count;
  /* Appended after 1.0. Sequences beyond `max_sequences`, numbered after them, that share the
   * others' memory: the host keeps prefixes in them. A plugin may give fewer (skerry_model_info).
   */
  uint32_t spare_sequences;
} skerry_load_options;

/* Flags of skerry_model_info.features. */
enum {
  SKERRY_FEATURE_GENERATE = 1u << 0,
  SKERRY_FEATURE_EMBED = 1u << 1,
  SKERRY_FEATURE_SCORE = 1u << 2,
  SKERRY_FEATURE_TENSORS = 1u << 3,
  SKERRY_FEATURE_CHAT = 1u << 4,           /* has a chat template the engine can apply */
  SKERRY_FEATURE_SEQ_COPY = 1u << 5,       /* step.seq_copy works: prefixes can be shared */
  SKERRY_FEATURE_WHOLE_SEQUENCE = 1u << 6, /* non-causal: a prompt must be decoded in one batch */
  SKERRY_FEATURE_SEQ_STATE = 1u << 7, /* seq_save and seq_restore work; state_format names what */
  /* A sequence goes on from any earlier position after seq_remove, and any row of a batch may want
   * logits, several of one sequence too: the host may guess tokens and take them back. Not for
   * engines that keep one state for the whole sequence, or forget what lies far back. */
  SKERRY_FEATURE_SEQ_TRIM = 1u << 8,
  /* Reads a query and a document together and tells how relevant the one is to the other. Instead
   * of GENERATE, EMBED and SCORE: `step.pair` works, of a sequence only the last row wants
   * SKERRY_WANT_EMBEDDING, and that embedding is one float from 0 (not) to 1. */
  SKERRY_FEATURE_RANK = 1u << 9
};

/* Filled by `info`; pointers are owned by the model and valid until `unload`. */
typedef struct skerry_model_info {
  size_t size;
  uint32_t features;
  uint32_t max_concurrency; /* threads that may be in infer.run at once, >= 1 */
  skerry_str architecture;  /* "llama", "onnx", … */
  skerry_str accelerator;   /* the one in use */
  /* step models, else 0 */
  uint32_t context_length; /* tokens one sequence may hold */
  uint32_t context_total;  /* tokens all sequences may hold together */
  uint32_t vocabulary;
  uint32_t embedding_length;
  uint32_t max_sequences;
  uint32_t max_rows;
  skerry_str chat_template; /* Jinja, which the host renders; empty: apply_template is asked */
  /* tensor models, else 0 */
  const skerry_tensor_info* inputs;
  size_t input_count;
  const skerry_tensor_info* outputs;
  size_t output_count;
  const skerry_memory_item* memory; /* measured, not estimated, where the engine tells */
  size_t memory_count;
  /* Appended after 1.0. Of skerry_load_options.spare_sequences, those that there are. */
  uint32_t spare_sequences;
  /* Appended after 1.0. Texts of the tokens that begin and end a document, for the template. */
  skerry_str begin_text;
  skerry_str end_text;
  /* Appended after 1.0, with SKERRY_FEATURE_SEQ_STATE: names all that a saved state depends on
   * beside the model's digest (engine and its version, types and layout of the cells), at most 200
   * bytes. The host restores a state only where this is equal. */
  skerry_str state_format;
} skerry_model_info;

typedef struct skerry_runtime skerry_runtime; /* the plugin's own; made by init, freed by fini */
typedef struct skerry_model skerry_model;     /* the plugin's own; made by load, freed by unload */

/* ---- Style 1: step. The host schedules ----------------------------------------------------------
 */

enum { SKERRY_WANT_NOTHING = 0, SKERRY_WANT_LOGITS = 1, SKERRY_WANT_EMBEDDING = 2 };

typedef struct skerry_row {
  uint32_t sequence; /* < max_sequences + spare_sequences */
  int32_t position;  /* consecutive within a sequence, from 0 */
  int32_t token;
  uint32_t want; /* SKERRY_WANT_…; one batch never mixes logits and embeddings */
} skerry_row;

typedef struct skerry_message {
  skerry_str role; /* "system", "user", "assistant" */
  skerry_str content;
} skerry_message;

typedef struct skerry_step {
  size_t size;
  /* Runs the rows (1 … max_rows) of any mixture of sequences. SKERRY_OK; or SKERRY_E_NO_SPACE,
   * SKERRY_E_CANCELLED or SKERRY_E_ENGINE, after which no row of this call is in any sequence; or
   * SKERRY_E_FATAL or SKERRY_E_MEMORY, after which the worker is replaced. */
  uint32_t (*decode)(skerry_model*, const skerry_row* rows, size_t count, skerry_error* error);
  /* `vocabulary` floats of row `index` of the last decode; null if it wanted none. Valid until the
   * next decode. */
  const float* (*logits)(skerry_model*, size_t index);
  /* `embedding_length` floats, likewise. */
  const float* (*embedding)(skerry_model*, size_t index);
  /* Makes a decode that is running return SKERRY_E_CANCELLED soon. Any thread. May be null. */
  void (*interrupt)(skerry_model*);
  /* Forgets positions >= `from` of a sequence. Never fails. With FEATURE_SEQ_TRIM or
   * FEATURE_SEQ_COPY what comes next is computed as if they had never been there; without, `from`
   * is 0. */
  void (*seq_remove)(skerry_model*, uint32_t sequence, int32_t from);
  /* Makes `to`, which is empty, share the first `length` positions of `from`; what is computed or
   * removed in one of them later does not show in the other. Null without FEATURE_SEQ_COPY. */
  uint32_t (*seq_copy)(
      skerry_model*, uint32_t from, uint32_t to, int32_t length, skerry_error* error);
  /* Writes at most `capacity` tokens and sets *count to the number needed; the call with a larger
   * buffer follows if it did not fit. `add_special`: begin/end tokens as the model's own rules say;
   * `parse_special`: text such as "<|end|>" becomes the control token. */
  uint32_t (*tokenize)(skerry_model*,
                       skerry_str text,
                       int add_special,
                       int parse_special,
                       int32_t* tokens,
                       size_t capacity,
                       size_t* count,
                       skerry_error* error);
  /* The bytes of one token, possibly part of a code point; same buffer rule. Control tokens give
   * nothing unless `special`. */
  uint32_t (*piece)(skerry_model*,
                    int32_t token,
                    int special,
                    char* bytes,
                    size_t capacity,
                    size_t* count,
                    skerry_error* error);
  /* Non-zero if the token ends generation. */
  int (*is_end)(skerry_model*, int32_t token);
  /* Renders a conversation into a prompt, same buffer rule. SKERRY_E_UNSUPPORTED names a template
   * that the engine cannot apply. */
  uint32_t (*apply_template)(skerry_model*,
                             const skerry_message* messages,
                             size_t message_count,
                             int add_assistant,
                             char* text,
                             size_t capacity,
                             size_t* count,
                             skerry_error* error);
  /* Appended after 1.0: there if `size` covers it; may be null. From the next decode on, compute
   * with `threads` threads (1 … skerry_load_options.threads) that, with nothing to do, look for
   * work for a while before they sleep: `poll` is 0 (sleep at once) to 100 (long). The host calls
   * it between two decodes, as the machine's load changes. */
  uint32_t (*set_threads)(skerry_model*, uint32_t threads, uint32_t poll, skerry_error* error);
  /* Appended after 1.0; null without FEATURE_SEQ_STATE. The bytes that `seq_save` may write for a
   * sequence as it is now. */
  uint32_t (*seq_state_size)(skerry_model*,
                             uint32_t sequence,
                             uint64_t* bytes,
                             skerry_error* error);
  /* Writes what the engine has computed of a sequence and sets *count to the bytes written;
   * SKERRY_E_NO_SPACE if they are more than `capacity`. The sequence stays as it is. */
  uint32_t (*seq_save)(skerry_model*,
                       uint32_t sequence,
                       void* bytes,
                       size_t capacity,
                       size_t* count,
                       skerry_error* error);
  /* Makes `sequence`, which is empty, hold the `length` positions that were saved, here or in
   * another process with this model and an equal `state_format`. SKERRY_E_INVALID for bytes that
   * are not such a state (cut, of another length, not a state at all), SKERRY_E_NO_SPACE without
   * cells for it; after an error the sequence is empty. The bytes are the host's own work, which it
   * has authenticated. */
  uint32_t (*seq_restore)(skerry_model*,
                          uint32_t sequence,
                          const void* bytes,
                          size_t size,
                          int32_t length,
                          skerry_error* error);
  /* Appended after 1.0; null without FEATURE_RANK. The tokens of a query and a document as the
   * model reads the two together, begin and end tokens included; same buffer rule as tokenize. Text
   * of either is never read as a control token. */
  uint32_t (*pair)(skerry_model*,
                   skerry_str query,
                   skerry_str document,
                   int32_t* tokens,
                   size_t capacity,
                   size_t* count,
                   skerry_error* error);
} skerry_step;

/* ---- Style 2: infer. Request in, events out -----------------------------------------------------
 */

typedef struct skerry_infer_request {
  size_t size;
  uint64_t id;                 /* unique within the model while running; names it for `cancel` */
  uint8_t model_digest[32];    /* refuse with SKERRY_E_INVALID if it is not this model's */
  const skerry_tensor* inputs; /* borrowed for the call */
  size_t input_count;
  const skerry_str* outputs; /* names wanted; none: all */
  size_t output_count;
  void* emit_ctx;
  /* Hands over outputs; the host copies before it returns. Non-zero: cancelled, produce no more. */
  int (*emit)(void* emit_ctx, const skerry_tensor* tensors, size_t count);
} skerry_infer_request;

typedef struct skerry_infer {
  size_t size;
  /* Runs one request to its end on the caller's thread; emits before it returns SKERRY_OK. Inputs
   * are checked against the model's names, types and shapes; the message names the input. */
  uint32_t (*run)(skerry_model*, const skerry_infer_request* request, skerry_error* error);
  /* Makes the run of that id return SKERRY_E_CANCELLED soon; no effect if it is not running. */
  void (*cancel)(skerry_model*, uint64_t id);
} skerry_infer;

/* ---- Tools (optional) ---------------------------------------------------------------------------
 */

typedef struct skerry_quantize_request {
  size_t size;
  const skerry_model_source* source; /* the float model */
  skerry_str type;                   /* "q4_k_m", "q8_0", "f16", "int8-qdq", … */
  int output_fd;                     /* empty, open for reading and writing; closed by the host */
  uint32_t threads;
  const skerry_file* data; /* calibration data or an importance matrix; null: none */
  const skerry_option* options;
  size_t option_count;
  void* progress_ctx;
  /* 0 … 1; non-zero return: stop with SKERRY_E_CANCELLED. May be null. */
  int (*progress)(void* progress_ctx, float fraction);
} skerry_quantize_request;

/* A metric that an engine measures by itself better than the host can from outside. */
typedef struct skerry_metric {
  skerry_str name; /* "perplexity", "kld", … */
  double value;
} skerry_metric;

typedef struct skerry_evaluate_request {
  size_t size;
  skerry_str metric;
  const skerry_file* data;
  const skerry_option* options;
  size_t option_count;
  void* emit_ctx;
  int (*emit)(void* emit_ctx, const skerry_metric* metric);
} skerry_evaluate_request;

typedef struct skerry_tools {
  size_t size;
  /* Deterministic: the same inputs give the same bytes. Null: cannot quantize. */
  uint32_t (*quantize)(skerry_runtime*, const skerry_quantize_request*, skerry_error* error);
  /* Null: the host evaluates through `step` or `infer`. */
  uint32_t (*evaluate)(skerry_model*, const skerry_evaluate_request*, skerry_error* error);
} skerry_tools;

/* ---- The plugin ---------------------------------------------------------------------------------
 */

/* Filled by `capabilities`; pointers are owned by the runtime and valid until `fini`. */
typedef struct skerry_capabilities {
  size_t size;
  skerry_str engine_version;
  const skerry_str* formats; /* "gguf", "onnx" */
  size_t format_count;
  const skerry_str* accelerators; /* usable on this machine; "cpu" at least */
  size_t accelerator_count;
  const skerry_str* quantize_types; /* what tools.quantize accepts */
  size_t quantize_type_count;
  uint32_t features; /* SKERRY_FEATURE_… that some model may have */
  uint32_t reserved;
} skerry_capabilities;

typedef struct skerry_plugin {
  size_t size;
  uint32_t abi_major; /* equal to the host's */
  uint32_t abi_minor; /* at most the host's */
  skerry_str name;    /* "llamacpp" */
  skerry_str version; /* of the plugin */

  /* Options: "engine_dir" (folder of the engine's libraries), others by plugin; unknown ones are
   * ignored here. */
  uint32_t (*init)(const skerry_host*,
                   const skerry_option* options,
                   size_t option_count,
                   skerry_runtime** runtime,
                   skerry_error* error);
  /* Every model was unloaded before. */
  void (*fini)(skerry_runtime*);
  uint32_t (*capabilities)(skerry_runtime*, skerry_capabilities* out, skerry_error* error);
  /* Memory that `load` with these options would take, without reading weights. May be null. */
  uint32_t (*estimate)(skerry_runtime*,
                       const skerry_model_source*,
                       const skerry_load_options*,
                       skerry_memory_item* items,
                       size_t capacity,
                       size_t* count,
                       skerry_error* error);
  uint32_t (*load)(skerry_runtime*,
                   const skerry_model_source*,
                   const skerry_load_options*,
                   skerry_model** model,
                   skerry_error* error);
  void (*unload)(skerry_model*);
  uint32_t (*info)(skerry_model*, skerry_model_info* out, skerry_error* error);

  /* At least one of the two styles; null: not offered. */
  const skerry_step* step;
  const skerry_infer* infer;
  const skerry_tools* tools; /* may be null */
} skerry_plugin;

/* The one exported function. Returns a table that lives as long as the library, or null if the
 * plugin does not speak `abi_major` or needs a newer host than `host_minor`. */
typedef const skerry_plugin* (*skerry_get_plugin_fn)(uint32_t abi_major, uint32_t host_minor);
SKERRY_EXPORT const skerry_plugin* skerry_get_plugin(uint32_t abi_major, uint32_t host_minor);
#define SKERRY_GET_PLUGIN_SYMBOL "skerry_get_plugin"

#ifdef __cplusplus
}
#endif

#endif /* SKERRY_RUNTIME_PLUGIN_H */
