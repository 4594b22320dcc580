#include "kserve_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "skerry/common/json.hpp"

#include "kserve_config.hpp"
#include "kserve_tensors.hpp"

namespace skerry::agent {
namespace {

constexpr std::uint32_t kDefaultTokens = 16;
constexpr std::size_t kMaxParameters = 64U << 10U;
constexpr double kMostTokens = 1U << 24U;
constexpr double kLargestWhole = 9007199254740992.0;  // 2^53

Error bad(const std::string& what, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, what + ": " + std::string{problem}};
}

bool has_one_element(const runtime::Tensor& tensor) {
  return std::all_of(
      tensor.shape.begin(), tensor.shape.end(), [](std::int64_t size) { return size == 1; });
}

Result<std::string> text_value(const runtime::Tensor& tensor) {
  if (tensor.type != runtime::DataType::kBytes || !has_one_element(tensor) ||
      tensor.data.size() < sizeof(std::uint32_t)) {
    return bad("input \"" + tensor.name + "\"", "must be BYTES of one element");
  }
  return tensor.data.substr(sizeof(std::uint32_t));
}

Result<bool> flag_value(const runtime::Tensor& tensor) {
  if (tensor.type != runtime::DataType::kBool || !has_one_element(tensor) ||
      tensor.data.size() != 1) {
    return bad("input \"" + tensor.name + "\"", "must be BOOL of one element");
  }
  return tensor.data.front() != '\0';
}

// vLLM's backend takes numbers as strings too, and its own client sends them so.
Result<double> number(const std::string& key, const Json& value) {
  if (const Result<double> plain = value.as_number(); plain && std::isfinite(*plain)) {
    return *plain;
  }
  if (const std::string* const text = value.string(); text != nullptr) {
    double parsed = 0;
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), parsed);
    if (ec == std::errc{} && end == text->data() + text->size() && std::isfinite(parsed)) {
      return parsed;
    }
  }
  return bad("sampling_parameters." + key, "must be a number");
}

Result<std::int64_t> whole(const std::string& key,
                           const Json& value,
                           double least,
                           double most = kLargestWhole) {
  const Result<double> parsed = number(key, value);
  if (!parsed) {
    return parsed.error();
  }
  if (std::floor(*parsed) != *parsed || *parsed < least || *parsed > most) {
    return bad("sampling_parameters." + key, "must be a whole number in range");
  }
  return static_cast<std::int64_t>(*parsed);
}

Result<void> take_stop(const Json& value, TextJob& job) {
  if (const std::string* const one = value.string(); one != nullptr) {
    job.stop = {*one};
    return {};
  }
  const Json::Array* const several = value.array();
  if (several == nullptr) {
    return bad("sampling_parameters.stop", "must be a string or an array of strings");
  }
  for (const Json& item : *several) {
    if (!item.is_string()) {
      return bad("sampling_parameters.stop", "must be a string or an array of strings");
    }
    job.stop.push_back(*item.string());
  }
  return {};
}

// The one that `key` names, or null.
float* fraction(runtime::SamplingParams& sampling, std::string_view key) {
  const std::pair<std::string_view, float*> known[] = {
      {"temperature", &sampling.temperature},
      {"top_p", &sampling.top_p},
      {"min_p", &sampling.min_p},
      {"repetition_penalty", &sampling.repeat_penalty},
      {"frequency_penalty", &sampling.frequency_penalty},
      {"presence_penalty", &sampling.presence_penalty}};
  for (const auto& [name, place] : known) {
    if (name == key) {
      return place;
    }
  }
  return nullptr;
}

Result<void> take_parameter(const std::string& key, const Json& value, TextJob& job) {
  if (float* const place = fraction(job.sampling, key); place != nullptr) {
    const Result<double> parsed = number(key, value);
    if (!parsed) {
      return parsed.error();
    }
    *place = static_cast<float>(*parsed);
    return {};
  }
  if (key == "stop") {
    return take_stop(value, job);
  }
  if (key == "max_tokens") {
    const Result<std::int64_t> tokens = whole(key, value, 1, kMostTokens);
    if (!tokens) {
      return tokens.error();
    }
    job.max_tokens = static_cast<std::uint32_t>(*tokens);
    return {};
  }
  if (key == "top_k") {
    // -1 and 0: off.
    const Result<std::int64_t> tokens = whole(key, value, -1, kMostTokens);
    if (!tokens) {
      return tokens.error();
    }
    job.sampling.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(*tokens, 0));
    return {};
  }
  if (key == "seed") {
    const Result<std::int64_t> seed = whole(key, value, 0);
    if (!seed) {
      return seed.error();
    }
    job.sampling.seed = static_cast<std::uint64_t>(*seed);
    return {};
  }
  return bad("sampling_parameters." + key, "is not offered by this server");
}

Result<void> take_sampling(const std::string& text, TextJob& job) {
  JsonLimits limits;
  limits.bytes = kMaxParameters;
  const Result<Json> parsed = Json::parse(text, limits);
  if (!parsed) {
    return bad("sampling_parameters", parsed.error().message());
  }
  const Json::Object* const object = parsed->object();
  if (object == nullptr) {
    return bad("sampling_parameters", "must be a JSON object");
  }
  for (const auto& [key, value] : *object) {
    if (value.is_null()) {
      continue;
    }
    if (Result<void> taken = take_parameter(key, value, job); !taken) {
      return taken.error();
    }
  }
  return runtime::check_sampling(job.sampling);
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
    return take_sampling(*text, ask.job);
  }
  if (tensor.name == "stream" || tensor.name == "exclude_input_in_output") {
    const Result<bool> flag = flag_value(tensor);
    if (!flag) {
      return flag.error();
    }
    if (tensor.name == "stream") {
      ask.pieces = *flag;
    } else if (!*flag) {
      return bad("exclude_input_in_output", "the prompt is never repeated; leave it out");
    }
    return {};
  }
  return bad("input \"" + tensor.name + "\"",
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
  ask.job.max_tokens = kDefaultTokens;
  for (const auto& input : request.inputs()) {
    if (input.parameters().contains("shared_memory_region")) {
      return bad("input \"" + input.name() + "\"", "text is not taken from shared memory");
    }
  }
  for (const auto& output : request.outputs()) {
    if (output.name() != kTextOutput || output.parameters().contains("shared_memory_region")) {
      return bad("output \"" + output.name() + "\"", "only text_output is offered, in the answer");
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
