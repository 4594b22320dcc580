/* One request: inputs checked, computed, handed over. Several threads are here at once; a loaded
 * model does not change, so that they share nothing but the list of runs. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"

/* Between two looks at `should_stop` and `cancel`. */
#define MULTIPLICATIONS_AT_ONCE (1u << 20)

static struct dense_run* begin_run(skerry_model* model, uint64_t id) {
  struct dense_run* found = NULL;
  pthread_mutex_lock(&model->mutex);
  for (size_t i = 0; i < DENSE_THREADS && found == NULL; ++i) {
    if (!model->running[i].busy) {
      found = &model->running[i];
      *found = (struct dense_run){.id = id, .busy = 1, .cancelled = 0};
    }
  }
  pthread_mutex_unlock(&model->mutex);
  return found;
}

static void end_run(skerry_model* model, struct dense_run* run) {
  pthread_mutex_lock(&model->mutex);
  run->busy = 0;
  pthread_mutex_unlock(&model->mutex);
}

static int is_cancelled(skerry_model* model, const struct dense_run* run) {
  pthread_mutex_lock(&model->mutex);
  const int cancelled = run->cancelled;
  pthread_mutex_unlock(&model->mutex);
  return cancelled || model->host->should_stop(model->host->ctx);
}

void dense_cancel(skerry_model* model, uint64_t id) {
  pthread_mutex_lock(&model->mutex);
  for (size_t i = 0; i < DENSE_THREADS; ++i) {
    if (model->running[i].busy && model->running[i].id == id) {
      model->running[i].cancelled = 1;
    }
  }
  pthread_mutex_unlock(&model->mutex);
}

/* The tensor "x", or null and a message that names what is wrong. */
static const skerry_tensor* find_input(const skerry_infer_request* request, skerry_error* error) {
  const skerry_tensor* found = NULL;
  for (size_t i = 0; i < request->input_count; ++i) {
    const skerry_str name = request->inputs[i].name;
    if (!dense_equal(name, "x")) {
      dense_fail(error,
                 SKERRY_E_INVALID,
                 "the model has no input \"%.*s\", only \"x\"",
                 dense_width(name),
                 dense_text(name));
      return NULL;
    }
    if (found != NULL) {
      dense_fail(error, SKERRY_E_INVALID, "input \"x\" is given twice");
      return NULL;
    }
    found = &request->inputs[i];
  }
  if (found == NULL) {
    dense_fail(error, SKERRY_E_INVALID, "input \"x\" is missing");
  }
  return found;
}

static uint32_t check_request(const skerry_model* model,
                              const skerry_infer_request* request,
                              const skerry_tensor** input,
                              skerry_error* error) {
  if (memcmp(request->model_digest, model->digest, sizeof model->digest) != 0) {
    return dense_fail(error, SKERRY_E_INVALID, "the request is for another model than this one");
  }
  for (size_t i = 0; i < request->output_count; ++i) {
    const skerry_str name = request->outputs[i];
    if (!dense_equal(name, "y")) {
      return dense_fail(error,
                        SKERRY_E_INVALID,
                        "the model has no output \"%.*s\", only \"y\"",
                        dense_width(name),
                        dense_text(name));
    }
  }
  const skerry_tensor* x = find_input(request, error);
  if (x == NULL) {
    return SKERRY_E_INVALID;
  }
  if (x->datatype != SKERRY_TYPE_FP32) {
    return dense_fail(
        error, SKERRY_E_INVALID, "input \"x\" has datatype %u, the model takes FP32", x->datatype);
  }
  const uint64_t sample = (uint64_t)model->inputs * sizeof(float);
  if (x->rank != 2 || x->shape[0] < 0 || x->shape[1] != (int64_t)model->inputs ||
      x->bytes % sample != 0 || (uint64_t)x->shape[0] != x->bytes / sample) {
    return dense_fail(error,
                      SKERRY_E_INVALID,
                      "input \"x\" has another shape than the model takes: [samples, %u]",
                      model->inputs);
  }
  *input = x;
  return SKERRY_OK;
}

/* In place, without overflow: the largest becomes exp(0). */
static void softmax(float* values, uint32_t count) {
  float largest = values[0];
  for (uint32_t i = 1; i < count; ++i) {
    largest = values[i] > largest ? values[i] : largest;
  }
  float sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    values[i] = expf(values[i] - largest);
    sum += values[i];
  }
  for (uint32_t i = 0; i < count; ++i) {
    values[i] /= sum;
  }
}

/* The sample may lie anywhere in memory: its values are copied out, not read as floats in place. */
static float dot(const float* weights, const unsigned char* sample, uint32_t count) {
  float sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    float value;
    memcpy(&value, sample + (size_t)i * sizeof value, sizeof value);
    sum += weights[i] * value;
  }
  return sum;
}

static uint32_t compute(skerry_model* model,
                        const struct dense_run* run,
                        const skerry_tensor* input,
                        float* result,
                        skerry_error* error) {
  const unsigned char* samples = input->data;
  const size_t sample_bytes = (size_t)model->inputs * sizeof(float);
  uint64_t work = MULTIPLICATIONS_AT_ONCE; /* look before the first */
  for (int64_t n = 0; n < input->shape[0]; ++n) {
    const unsigned char* sample = samples + (size_t)n * sample_bytes;
    float* scores = result + (size_t)n * model->outputs;
    for (uint32_t o = 0; o < model->outputs; ++o) {
      work += model->inputs;
      if (work >= MULTIPLICATIONS_AT_ONCE) {
        work = 0;
        model->host->heartbeat(model->host->ctx);
        if (is_cancelled(model, run)) {
          return dense_fail(error, SKERRY_E_CANCELLED, "the request was cancelled");
        }
      }
      scores[o] =
          model->biases[o] + dot(model->weights + (size_t)o * model->inputs, sample, model->inputs);
    }
    softmax(scores, model->outputs);
  }
  return SKERRY_OK;
}

static uint32_t emit(const skerry_model* model,
                     const skerry_infer_request* request,
                     const skerry_tensor* input,
                     const float* result,
                     skerry_error* error) {
  const int64_t shape[2] = {input->shape[0], model->outputs};
  const skerry_tensor output = {
      .size = sizeof(skerry_tensor),
      .name = model->output.name,
      .datatype = SKERRY_TYPE_FP32,
      .rank = 2,
      .shape = shape,
      .data = result,
      .bytes = (uint64_t)input->shape[0] * model->outputs * sizeof(float)};
  /* The host copies before it returns. */
  return request->emit(request->emit_ctx, &output, 1) == 0
             ? (uint32_t)SKERRY_OK
             : dense_fail(error, SKERRY_E_CANCELLED, "the request was cancelled");
}

uint32_t dense_run(skerry_model* model, const skerry_infer_request* request, skerry_error* error) {
  const skerry_tensor* input = NULL;
  uint32_t status = check_request(model, request, &input, error);
  if (status != SKERRY_OK) {
    return status;
  }
  const uint64_t values = (uint64_t)input->shape[0] * model->outputs;
  float* result = values > SIZE_MAX / sizeof(float) - 1
                      ? NULL
                      : malloc((size_t)(values + 1) * sizeof(float)); /* never of no bytes */
  if (result == NULL) {
    return dense_fail(error, SKERRY_E_MEMORY, "out of memory for the output");
  }
  struct dense_run* run = begin_run(model, request->id);
  if (run == NULL) {
    free(result);
    return dense_fail(error, SKERRY_E_ENGINE, "more than %u requests at once", DENSE_THREADS);
  }
  status = compute(model, run, input, result, error);
  if (status == SKERRY_OK) {
    status = emit(model, request, input, result, error);
  }
  end_run(model, run);
  free(result);
  return status;
}
