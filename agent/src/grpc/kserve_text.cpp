#include "kserve_text.hpp"

#include <algorithm>
#include <utility>

#include "kserve_config.hpp"
#include "kserve_sampling.hpp"
#include "kserve_tensors.hpp"

namespace skerry::agent {
namespace {

Error bad_text_input(const std::string& what, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, what + ": " + std::string{problem}};
}

bool has_one_element(const runtime::Tensor& tensor) {
  return std::all_of(
      tensor.shape.begin(), tensor.shape.end(), [](std::int64_t size) { return size == 1; });
}

Result<std::string> text_value(const runtime::Tensor& tensor) {
  if (tensor.type != runtime::DataType::kBytes || !has_one_element(tensor) ||
      tensor.data.size() < sizeof(std::uint32_t)) {
    return bad_text_input("input \"" + tensor.name + "\"", "must be BYTES of one element");
  }
  return tensor.data.substr(sizeof(std::uint32_t));
}

Result<bool> flag_value(const runtime::Tensor& tensor) {
  if (tensor.type != runtime::DataType::kBool || !has_one_element(tensor) ||
      tensor.data.size() != 1) {
    return bad_text_input("input \"" + tensor.name + "\"", "must be BOOL of one element");
  }
  return tensor.data.front() != '\0';
}

void take_sampling(KserveSampling parameters, TextJob& job) {
  job.sampling = parameters.sampling;
  job.max_tokens = parameters.max_tokens;
  job.stop = std::move(parameters.stop);
}

Result<void> take_input(const runtime::Tensor& tensor, TextAsk& ask) {
  if (tensor.name == kTextInput) {
    Result<std::string> text = text_value(tensor);
    if (!text) {
      return text.error();
    }
    ask.job.prompt = runtime::Prompt{*std::move(text)};
    return {};
  }
  if (tensor.name == "sampling_parameters") {
    const Result<std::string> text = text_value(tensor);
    if (!text) {
      return text.error();
    }
    Result<KserveSampling> parsed = parse_sampling_parameters(*text);
    if (!parsed) {
      return parsed.error();
    }
    take_sampling(*std::move(parsed), ask.job);
    return {};
  }
  if (tensor.name == "stream" || tensor.name == "exclude_input_in_output") {
    const Result<bool> flag = flag_value(tensor);
    if (!flag) {
      return flag.error();
    }
    if (tensor.name == "stream") {
      ask.pieces = *flag;
    } else if (!*flag) {
      return bad_text_input("exclude_input_in_output",
                            "the prompt is never repeated; leave it out");
    }
    return {};
  }
  return bad_text_input("input \"" + tensor.name + "\"",
                        "is not offered for text; text_input, stream, sampling_parameters and "
                        "exclude_input_in_output are");
}

}  // namespace

bool has_text_input(const ::inference::ModelInferRequest& request) {
  return std::any_of(request.inputs().begin(), request.inputs().end(), [](const auto& input) {
    return input.name() == kTextInput && input.datatype() == "BYTES";
  });
}

Result<TextAsk> text_ask(const ::inference::ModelInferRequest& request) {
  TextAsk ask;
  take_sampling(KserveSampling{}, ask.job);
  for (const auto& input : request.inputs()) {
    if (input.parameters().contains("shared_memory_region")) {
      return bad_text_input("input \"" + input.name() + "\"",
                            "text is not taken from shared memory");
    }
  }
  for (const auto& output : request.outputs()) {
    if (output.name() != kTextOutput || output.parameters().contains("shared_memory_region")) {
      return bad_text_input("output \"" + output.name() + "\"",
                            "only text_output is offered, in the answer");
    }
  }
  const Result<std::vector<runtime::Tensor>> inputs = tensors_of(request);
  if (!inputs) {
    return inputs.error();
  }
  for (const runtime::Tensor& tensor : *inputs) {
    if (Result<void> taken = take_input(tensor, ask); !taken) {
      return taken.error();
    }
  }
  const auto found = request.parameters().find("triton_enable_empty_final_response");
  ask.empty_final = found != request.parameters().end() && found->second.bool_param();
  return ask;
}

}  // namespace skerry::agent
