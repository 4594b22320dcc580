/* A plugin for Skerry in the style `infer`: one dense layer with softmax, y = softmax(W x + b),
 * from a small model format of its own. Short enough to read, complete enough to copy: what each
 * function must keep to is in skerry/runtime/plugin.h.
 *
 * The format "dense", little-endian, and nothing behind it:
 *   magic    8 bytes   "DENSE001"
 *   inputs   uint32    1 to 65536
 *   outputs  uint32    1 to 65536
 *   weights  float32   outputs rows of inputs values
 *   biases   float32   outputs values
 */
#ifndef SKERRY_DENSE_H
#define SKERRY_DENSE_H

#include <pthread.h>

#include <skerry/runtime/plugin.h>

/* Threads that may be in `run` at once: skerry_model_info.max_concurrency. */
#define DENSE_THREADS 4u

/* A run that is under way, so that `cancel` finds it. */
struct dense_run {
  uint64_t id;
  int busy;
  int cancelled;
};

struct skerry_runtime {
  const skerry_host* host;
};

struct skerry_model {
  const skerry_host* host;
  uint8_t digest[32];
  uint32_t inputs;
  uint32_t outputs;
  float* weights;
  float* biases; /* within the block of `weights` */

  /* What `info` points to: valid until `unload`. */
  int64_t input_shape[2];
  int64_t output_shape[2];
  skerry_tensor_info input;
  skerry_tensor_info output;
  skerry_memory_item memory;

  pthread_mutex_t mutex; /* guards `running` */
  struct dense_run running[DENSE_THREADS];
};

/* A skerry_str of a string literal, as an initializer. */
#define DENSE_STR(text) \
  { (text), sizeof(text) - 1 }

/* Names from outside go into messages by "%.*s" with these two, cut to what a line holds. */
int dense_width(skerry_str text);
const char* dense_text(skerry_str text);
int dense_equal(skerry_str text, const char* literal);

/* Writes the message and returns the status. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
uint32_t
dense_fail(skerry_error* error, uint32_t status, const char* format, ...);

/* load.c */
uint32_t dense_load(skerry_runtime* runtime,
                    const skerry_model_source* source,
                    const skerry_load_options* options,
                    skerry_model** model,
                    skerry_error* error);
void dense_unload(skerry_model* model);
uint32_t dense_estimate(skerry_runtime* runtime,
                        const skerry_model_source* source,
                        const skerry_load_options* options,
                        skerry_memory_item* items,
                        size_t capacity,
                        size_t* count,
                        skerry_error* error);

/* run.c */
uint32_t dense_run(skerry_model* model, const skerry_infer_request* request, skerry_error* error);
void dense_cancel(skerry_model* model, uint64_t id);

#endif
