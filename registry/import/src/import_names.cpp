#include "skerry/registry/import_names.hpp"

#include <algorithm>
#include <cctype>

#include "skerry/registry/manifest.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kMaxPart = 64;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// "q4_k_m", "iq3_xxs", "f16", "bf16", "mxfp4", "int8" …: what makers of quantized files write.
bool is_quantization(std::string_view token) {
  static constexpr std::string_view kWhole[] = {
      "f16", "f32", "bf16", "fp16", "fp32", "mxfp4", "nvfp4", "int4", "int8", "uint8", "quantized"};
  if (std::find(std::begin(kWhole), std::end(kWhole), token) != std::end(kWhole)) {
    return true;
  }
  if (token.starts_with("iq") || token.starts_with("tq")) {
    token.remove_prefix(1);
  }
  return token.size() >= 2 && token[0] == 'q' && token[1] >= '1' && token[1] <= '9' &&
         std::all_of(
             token.begin() + 2, token.end(), [](char c) { return alphanumeric(c) || c == '_'; });
}

}  // namespace

std::string import_name_part(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const char small = lower(c);
    const bool allowed = alphanumeric(small) || small == '.' || small == '_' || small == '-';
    const char next = allowed ? small : '-';
    if (out.empty() && !alphanumeric(next)) {
      continue;
    }
    // No "..", and no run of what replaced something.
    if (!out.empty() && next == out.back() && !alphanumeric(next)) {
      continue;
    }
    out += next;
    if (out.size() == kMaxPart) {
      break;
    }
  }
  while (!out.empty() && !alphanumeric(out.back())) {
    out.pop_back();
  }
  return out.empty() ? "model" : out;
}

std::string import_file_name(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool allowed = alphanumeric(c) || c == '.' || c == '_' || c == '-' || c == '+';
    out += c == '/' ? '+' : (allowed ? c : '_');
  }
  if (!out.empty() && out.front() == '.') {
    out.front() = '_';
  }
  if (out.size() > ManifestLimits::kNameLength) {
    // The end tells files apart better than the beginning.
    out.erase(0, out.size() - ManifestLimits::kNameLength);
    if (out.front() == '.') {
      out.front() = '_';
    }
  }
  return out.empty() ? "file" : out;
}

std::string quantization_of(std::string_view file_name) {
  std::string stem{file_name.substr(0, file_name.rfind('.'))};
  std::transform(stem.begin(), stem.end(), stem.begin(), lower);
  // The longest ending behind a separator that reads as one.
  std::string found;
  for (std::size_t at = stem.find_first_of("-._"); at != std::string::npos;
       at = stem.find_first_of("-._", at + 1)) {
    const std::string_view token = std::string_view{stem}.substr(at + 1);
    if (is_quantization(token)) {
      found = token;
      break;
    }
  }
  return found;
}

}  // namespace skerry::registry
