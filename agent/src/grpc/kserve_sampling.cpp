#include "kserve_sampling.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

constexpr std::size_t kMaxParameters = 64U << 10U;
constexpr double kMostSampled = 1U << 24U;
constexpr double kLargestWhole = 9007199254740992.0;  // 2^53

Error bad_sampling(const std::string& what, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, what + ": " + std::string{problem}};
}

// vLLM's backend takes numbers as strings too, and its own client sends them so.
Result<double> sampling_number(const std::string& key, const Json& value) {
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
  return bad_sampling("sampling_parameters." + key, "must be a number");
}

Result<std::int64_t> sampling_integer(const std::string& key,
                                      const Json& value,
                                      double least,
                                      double most = kLargestWhole) {
  const Result<double> parsed = sampling_number(key, value);
  if (!parsed) {
    return parsed.error();
  }
  if (std::floor(*parsed) != *parsed || *parsed < least || *parsed > most) {
    return bad_sampling("sampling_parameters." + key, "must be a whole number in range");
  }
  return static_cast<std::int64_t>(*parsed);
}

Result<void> take_stop(const Json& value, KserveSampling& out) {
  if (const std::string* const one = value.string(); one != nullptr) {
    out.stop = {*one};
    return {};
  }
  const Json::Array* const several = value.array();
  if (several == nullptr) {
    return bad_sampling("sampling_parameters.stop", "must be a string or an array of strings");
  }
  for (const Json& item : *several) {
    if (!item.is_string()) {
      return bad_sampling("sampling_parameters.stop", "must be a string or an array of strings");
    }
    out.stop.push_back(*item.string());
  }
  return {};
}

// The one that `key` names, or null.
float* sampling_fraction(runtime::SamplingParams& sampling, std::string_view key) {
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

Result<void> take_parameter(const std::string& key, const Json& value, KserveSampling& out) {
  if (float* const place = sampling_fraction(out.sampling, key); place != nullptr) {
    const Result<double> parsed = sampling_number(key, value);
    if (!parsed) {
      return parsed.error();
    }
    *place = static_cast<float>(*parsed);
    return {};
  }
  if (key == "stop") {
    return take_stop(value, out);
  }
  if (key == "max_tokens") {
    const Result<std::int64_t> tokens = sampling_integer(key, value, 1, kMostSampled);
    if (!tokens) {
      return tokens.error();
    }
    out.max_tokens = static_cast<std::uint32_t>(*tokens);
    return {};
  }
  if (key == "top_k") {
    // -1 and 0: off.
    const Result<std::int64_t> tokens = sampling_integer(key, value, -1, kMostSampled);
    if (!tokens) {
      return tokens.error();
    }
    out.sampling.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(*tokens, 0));
    return {};
  }
  if (key == "seed") {
    const Result<std::int64_t> seed = sampling_integer(key, value, 0);
    if (!seed) {
      return seed.error();
    }
    out.sampling.seed = static_cast<std::uint64_t>(*seed);
    return {};
  }
  return bad_sampling("sampling_parameters." + key, "is not offered by this server");
}

}  // namespace

Result<KserveSampling> parse_sampling_parameters(const std::string& text) {
  JsonLimits limits;
  limits.bytes = kMaxParameters;
  const Result<Json> parsed = Json::parse(text, limits);
  if (!parsed) {
    return bad_sampling("sampling_parameters", parsed.error().message());
  }
  const Json::Object* const object = parsed->object();
  if (object == nullptr) {
    return bad_sampling("sampling_parameters", "must be a JSON object");
  }
  KserveSampling out;
  for (const auto& [key, value] : *object) {
    if (value.is_null()) {
      continue;
    }
    if (Result<void> taken = take_parameter(key, value, out); !taken) {
      return taken.error();
    }
  }
  if (Result<void> checked = runtime::check_sampling(out.sampling); !checked) {
    return checked.error().with_context("sampling_parameters");
  }
  return out;
}

}  // namespace skerry::agent
