/* Reading a model. The file comes from outside: every number in it is compared with what is there
 * before it is used. */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dense.h"

#define HEADER_BYTES 16u
#define MAX_EXTENT 65536u
#define READ_AT_ONCE (1u << 20)

struct header {
  uint32_t inputs;
  uint32_t outputs;
  uint64_t values; /* weights and biases */
};

static uint32_t little_endian(const unsigned char* bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

/* Reads `size` bytes at `at` of the file, a piece at a time: the host may want to stop, and kills a
 * worker of which it hears nothing. */
static uint32_t read_file(const skerry_host* host,
                          const skerry_file* file,
                          uint64_t at,
                          void* out,
                          uint64_t size,
                          skerry_error* error) {
  unsigned char* to = out;
  while (size > 0) {
    if (host->should_stop(host->ctx)) {
      return dense_fail(error, SKERRY_E_CANCELLED, "loading was stopped");
    }
    host->heartbeat(host->ctx);
    const size_t piece = size < READ_AT_ONCE ? (size_t)size : READ_AT_ONCE;
    const ssize_t got = pread(file->fd, to, piece, (off_t)(file->offset + at));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return dense_fail(error, SKERRY_E_IO, "the model file cannot be read: error %d", errno);
    }
    if (got == 0) {
      return dense_fail(error, SKERRY_E_IO, "the model file ends before its length");
    }
    to += got;
    at += (uint64_t)got;
    size -= (uint64_t)got;
  }
  return SKERRY_OK;
}

static const skerry_file* find_model_file(const skerry_model_source* source) {
  for (size_t i = 0; i < source->file_count; ++i) {
    if (dense_equal(source->files[i].role, "model")) {
      return &source->files[i];
    }
  }
  return NULL;
}

static uint32_t read_header(const skerry_host* host,
                            const skerry_file* file,
                            struct header* header,
                            skerry_error* error) {
  unsigned char bytes[HEADER_BYTES];
  if (file->length < HEADER_BYTES) {
    return dense_fail(
        error, SKERRY_E_MODEL, "the file is shorter than the header of a dense model");
  }
  const uint32_t status = read_file(host, file, 0, bytes, HEADER_BYTES, error);
  if (status != SKERRY_OK) {
    return status;
  }
  if (memcmp(bytes, "DENSE001", 8) != 0) {
    return dense_fail(error, SKERRY_E_MODEL, "the file does not begin as a dense model, DENSE001");
  }
  header->inputs = little_endian(bytes + 8);
  header->outputs = little_endian(bytes + 12);
  if (header->inputs < 1 || header->inputs > MAX_EXTENT || header->outputs < 1 ||
      header->outputs > MAX_EXTENT) {
    return dense_fail(error,
                      SKERRY_E_MODEL,
                      "the model has %u inputs and %u outputs, each may be 1 to %u",
                      header->inputs,
                      header->outputs,
                      MAX_EXTENT);
  }
  header->values = (uint64_t)header->inputs * header->outputs + header->outputs;
  if (file->length != HEADER_BYTES + header->values * sizeof(float)) {
    return dense_fail(error,
                      SKERRY_E_MODEL,
                      "the file has %llu bytes, its header needs %llu",
                      (unsigned long long)file->length,
                      (unsigned long long)(HEADER_BYTES + header->values * sizeof(float)));
  }
  return SKERRY_OK;
}

/* What `load` and `estimate` refuse alike. */
static uint32_t read_job(const skerry_host* host,
                         const skerry_model_source* source,
                         const skerry_load_options* options,
                         const skerry_file** file,
                         struct header* header,
                         skerry_error* error) {
  if (!dense_equal(options->accelerator, "cpu")) {
    return dense_fail(error,
                      SKERRY_E_UNSUPPORTED,
                      "the dense plugin has no accelerator \"%.*s\", only cpu",
                      dense_width(options->accelerator),
                      dense_text(options->accelerator));
  }
  if (options->option_count > 0) {
    const skerry_str key = options->options[0].key;
    return dense_fail(error,
                      SKERRY_E_INVALID,
                      "the dense plugin has no option \"%.*s\": it has none at all",
                      dense_width(key),
                      dense_text(key));
  }
  *file = find_model_file(source);
  if (*file == NULL) {
    return dense_fail(error, SKERRY_E_MODEL, "the model has no file in the role \"model\"");
  }
  return read_header(host, *file, header, error);
}

static uint32_t read_weights(skerry_model* model,
                             const skerry_file* file,
                             uint64_t values,
                             skerry_error* error) {
  /* Read as they lie: see the check of the byte order in plugin.c. */
  const uint32_t status =
      read_file(model->host, file, HEADER_BYTES, model->weights, values * sizeof(float), error);
  if (status != SKERRY_OK) {
    return status;
  }
  for (uint64_t i = 0; i < values; ++i) {
    if (!isfinite(model->weights[i])) {
      return dense_fail(
          error, SKERRY_E_MODEL, "weight %llu is not a finite number", (unsigned long long)i);
    }
  }
  return SKERRY_OK;
}

static void describe(skerry_model* model, uint64_t values) {
  static const skerry_str x = DENSE_STR("x");
  static const skerry_str y = DENSE_STR("y");
  model->input_shape[0] = -1; /* any number of samples */
  model->input_shape[1] = model->inputs;
  model->output_shape[0] = -1;
  model->output_shape[1] = model->outputs;
  model->input = (skerry_tensor_info){.size = sizeof(skerry_tensor_info),
                                      .name = x,
                                      .datatype = SKERRY_TYPE_FP32,
                                      .rank = 2,
                                      .shape = model->input_shape};
  model->output = (skerry_tensor_info){.size = sizeof(skerry_tensor_info),
                                       .name = y,
                                       .datatype = SKERRY_TYPE_FP32,
                                       .rank = 2,
                                       .shape = model->output_shape};
  model->memory =
      (skerry_memory_item){.kind = SKERRY_MEMORY_WEIGHTS, .bytes = values * sizeof(float)};
}

uint32_t dense_load(skerry_runtime* runtime,
                    const skerry_model_source* source,
                    const skerry_load_options* options,
                    skerry_model** out,
                    skerry_error* error) {
  const skerry_file* file = NULL;
  struct header header;
  uint32_t status = read_job(runtime->host, source, options, &file, &header, error);
  if (status != SKERRY_OK) {
    return status;
  }
  const uint64_t bytes = header.values * sizeof(float);
  if (options->memory_limit != 0 && bytes > options->memory_limit) {
    return dense_fail(error,
                      SKERRY_E_MEMORY,
                      "the weights take %llu bytes, the limit is %llu",
                      (unsigned long long)bytes,
                      (unsigned long long)options->memory_limit);
  }
  skerry_model* model = calloc(1, sizeof *model);
  if (model == NULL || pthread_mutex_init(&model->mutex, NULL) != 0) {
    free(model);
    return dense_fail(error, SKERRY_E_MEMORY, "out of memory");
  }
  model->host = runtime->host;
  memcpy(model->digest, source->digest, sizeof model->digest);
  model->inputs = header.inputs;
  model->outputs = header.outputs;
  model->weights = malloc((size_t)bytes);
  status = model->weights == NULL ? dense_fail(error, SKERRY_E_MEMORY, "out of memory")
                                  : read_weights(model, file, header.values, error);
  if (status != SKERRY_OK) {
    dense_unload(model);
    return status;
  }
  model->biases = model->weights + (size_t)header.inputs * header.outputs;
  describe(model, header.values);
  *out = model;
  return SKERRY_OK;
}

void dense_unload(skerry_model* model) {
  pthread_mutex_destroy(&model->mutex);
  free(model->weights);
  free(model);
}

uint32_t dense_estimate(skerry_runtime* runtime,
                        const skerry_model_source* source,
                        const skerry_load_options* options,
                        skerry_memory_item* items,
                        size_t capacity,
                        size_t* count,
                        skerry_error* error) {
  const skerry_file* file = NULL;
  struct header header;
  const uint32_t status = read_job(runtime->host, source, options, &file, &header, error);
  if (status != SKERRY_OK) {
    return status;
  }
  *count = 1;
  if (capacity >= 1) {
    items[0] =
        (skerry_memory_item){.kind = SKERRY_MEMORY_WEIGHTS, .bytes = header.values * sizeof(float)};
  }
  return SKERRY_OK;
}
