#include <algorithm>
#include <cstring>

#include "null_model.hpp"

namespace skerry_null {
namespace {

bool take_cancel(skerry_model& model, std::uint64_t id) {
  const std::lock_guard lock{model.cancel_mutex};
  return model.cancelled.erase(id) > 0;
}

// Echoes the inputs under their own names.
std::uint32_t run(skerry_model* model, const skerry_infer_request* request, skerry_error* error) {
  if (std::memcmp(request->model_digest, model->digest, sizeof model->digest) != 0) {
    return fail(error, SKERRY_E_INVALID, "the request is for another model");
  }
  for (unsigned passed = 0; passed < model->step_ms; ++passed) {
    if (take_cancel(*model, request->id) || !pass_time(*model, 1)) {
      return fail(error, SKERRY_E_CANCELLED, "cancelled");
    }
  }
  if (!model->fault.empty() && !commit_fault(model->fault)) {
    return fail(error, SKERRY_E_ENGINE, "the null engine was told to fail");
  }
  std::vector<skerry_tensor> chosen;
  for (std::size_t i = 0; i < request->input_count; ++i) {
    const skerry_tensor& input = request->inputs[i];
    const auto wanted = [&](const skerry_str& name) { return view(name) == view(input.name); };
    if (request->output_count == 0 ||
        std::any_of(request->outputs, request->outputs + request->output_count, wanted)) {
      chosen.push_back(input);
    }
  }
  if (request->output_count > chosen.size()) {
    return fail(error, SKERRY_E_INVALID, "an output was asked for that no input is named after");
  }
  return request->emit(request->emit_ctx, chosen.data(), chosen.size()) == 0
             ? static_cast<std::uint32_t>(SKERRY_OK)
             : fail(error, SKERRY_E_CANCELLED, "cancelled");
}

void cancel(skerry_model* model, std::uint64_t id) {
  const std::lock_guard lock{model->cancel_mutex};
  model->cancelled.insert(id);
}

}  // namespace

const skerry_infer* infer_table() {
  static constexpr skerry_infer kTable{.size = sizeof(skerry_infer), .run = run, .cancel = cancel};
  return &kTable;
}

}  // namespace skerry_null
