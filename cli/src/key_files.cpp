#include "skerry/cli/key_files.hpp"

#include <filesystem>

namespace skerry::cli {
namespace {

constexpr std::size_t kMaxKeyFile = 64U << 10U;

bool has_scheme(const std::string& text) {
  const std::size_t colon = text.find(':');
  return colon != std::string::npos && text.find('/') > colon;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace

Result<security::KeyUri> key_uri(const std::string& text) {
  if (has_scheme(text)) {
    return security::KeyUri::parse(text);
  }
  std::error_code ec;
  const auto absolute = std::filesystem::absolute(text, ec);
  if (text.empty() || ec) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + text + "' is no key: give a path or a key URI"};
  }
  return security::KeyUri::parse("file:" + absolute.lexically_normal().string());
}

Result<security::PublicKey> load_public_key(FileSystem& fs, const std::string& text) {
  if (!has_scheme(text)) {
    auto content = read_file(fs, text, kMaxKeyFile);
    if (!content) {
      return content.error();
    }
    if (content->find("PRIVATE KEY") == std::string::npos) {
      auto key = security::PublicKey::from_text(trimmed(std::move(*content)));
      return key ? key : key.error().with_context(text);
    }
  }
  const auto signer = load_signer(fs, text);
  if (!signer) {
    return signer.error();
  }
  return (*signer)->public_key();
}

Result<std::vector<security::PublicKey>> load_public_keys(FileSystem& fs,
                                                          const std::vector<std::string>& texts) {
  std::vector<security::PublicKey> keys;
  for (const std::string& text : texts) {
    auto key = load_public_key(fs, text);
    if (!key) {
      return key.error();
    }
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<std::unique_ptr<security::Signer>> load_signer(FileSystem& fs, const std::string& text) {
  const auto uri = key_uri(text);
  if (!uri) {
    return uri.error();
  }
  auto signer = security::make_signer(fs, *uri);
  if (!signer) {
    return signer.error().with_context(text);
  }
  return std::move(*signer);
}

}  // namespace skerry::cli
