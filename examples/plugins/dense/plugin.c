/* The table that the host asks for, what the plugin says of itself, and how it says no. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"

/* The weights of the format are read as they lie. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the dense plugin needs a little-endian machine"
#endif

#define LONGEST_NAME 64u

int dense_width(skerry_str text) {
  return text.size < LONGEST_NAME ? (int)text.size : (int)LONGEST_NAME;
}

const char* dense_text(skerry_str text) {
  return text.data == NULL ? "" : text.data;
}

int dense_equal(skerry_str text, const char* literal) {
  return text.size == strlen(literal) &&
         (text.size == 0 || memcmp(text.data, literal, text.size) == 0);
}

uint32_t dense_fail(skerry_error* error, uint32_t status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments); /* ends it with NUL */
  va_end(arguments);
  return status;
}

static uint32_t init(const skerry_host* host,
                     const skerry_option* options,
                     size_t option_count,
                     skerry_runtime** runtime,
                     skerry_error* error) {
  /* The last chance to open files of the engine's own; this one has none. */
  (void)options;
  (void)option_count;
  skerry_runtime* made = calloc(1, sizeof *made);
  if (made == NULL) {
    return dense_fail(error, SKERRY_E_MEMORY, "out of memory");
  }
  made->host = host;
  *runtime = made;
  return SKERRY_OK;
}

static void fini(skerry_runtime* runtime) {
  free(runtime);
}

static uint32_t capabilities(skerry_runtime* runtime,
                             skerry_capabilities* out,
                             skerry_error* error) {
  static const skerry_str formats[] = {DENSE_STR("dense")};
  static const skerry_str accelerators[] = {DENSE_STR("cpu")};
  static const skerry_str version = DENSE_STR(DENSE_VERSION);
  (void)runtime;
  (void)error;
  /* `size` is the host's; what is not set was zeroed by it. */
  out->engine_version = version;
  out->formats = formats;
  out->format_count = 1;
  out->accelerators = accelerators;
  out->accelerator_count = 1;
  out->features = SKERRY_FEATURE_TENSORS;
  return SKERRY_OK;
}

static uint32_t info(skerry_model* model, skerry_model_info* out, skerry_error* error) {
  static const skerry_str architecture = DENSE_STR("dense");
  static const skerry_str cpu = DENSE_STR("cpu");
  (void)error;
  /* All of 1.0. A field that was appended later is set only if `out->size` covers it. */
  out->features = SKERRY_FEATURE_TENSORS;
  out->max_concurrency = DENSE_THREADS;
  out->architecture = architecture;
  out->accelerator = cpu;
  out->inputs = &model->input;
  out->input_count = 1;
  out->outputs = &model->output;
  out->output_count = 1;
  out->memory = &model->memory;
  out->memory_count = 1;
  return SKERRY_OK;
}

const skerry_plugin* skerry_get_plugin(uint32_t abi_major, uint32_t host_minor) {
  static const skerry_infer infer = {
      .size = sizeof(skerry_infer), .run = dense_run, .cancel = dense_cancel};
  static const skerry_plugin plugin = {.size = sizeof(skerry_plugin),
                                       .abi_major = SKERRY_ABI_MAJOR,
                                       .abi_minor = 0,
                                       .name = DENSE_STR("dense"),
                                       .version = DENSE_STR(DENSE_VERSION),
                                       .init = init,
                                       .fini = fini,
                                       .capabilities = capabilities,
                                       .estimate = dense_estimate,
                                       .load = dense_load,
                                       .unload = dense_unload,
                                       .info = info,
                                       .step = NULL,
                                       .infer = &infer,
                                       .tools = NULL};
  (void)host_minor; /* minor version 0 asks nothing of the host beyond the major version */
  return abi_major == SKERRY_ABI_MAJOR ? &plugin : NULL;
}
