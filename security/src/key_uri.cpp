#include <array>

#include "skerry/security/signer.hpp"

namespace skerry::security {

namespace {

constexpr std::array<std::string_view, 3> kSchemes{"file", "tpm", "pkcs11"};
constexpr std::size_t kMaxUri = 4096;

Error bad_uri(std::string_view text, std::string_view why) {
  return Error{Error::Code::kInvalidArgument,
               "key URI '" + std::string{text} + "': " + std::string{why} +
                   "; use file:/path/key.pem, tpm:<handle> or pkcs11:<attributes>"};
}

Result<void> add_attribute(std::string_view text,
                           std::string_view scheme,
                           std::string_view pair,
                           std::map<std::string, std::string, std::less<>>& attributes) {
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return bad_uri(text, "'" + std::string{pair} + "' is not name=value");
  }
  const std::string name{pair.substr(0, equals)};
  if (name == "pin-value") {  // the text is not shown: this is the one secret a URI can hold
    return Error{Error::Code::kInvalidArgument,
                 "a key URI must not hold the PIN, which process lists show; put it into a file "
                 "of mode 0600 and give pin-source=/path"};
  }
  if (scheme == "file" && name != "passphrase-file") {
    return bad_uri(text, "unknown attribute '" + name + "' (passphrase-file is known)");
  }
  if (!attributes.emplace(name, pair.substr(equals + 1)).second) {
    return bad_uri(text, "attribute '" + name + "' is given twice");
  }
  return {};
}

}  // namespace

Result<KeyUri> KeyUri::parse(std::string_view text) {
  if (text.empty() || text.size() > kMaxUri || text.find('\0') != std::string_view::npos) {
    return bad_uri(text.substr(0, 64), "empty, too long or with a NUL");
  }
  KeyUri uri;
  std::string_view rest = text;
  if (text.front() == '/') {
    uri.scheme_ = "file";
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      return bad_uri(text, "no scheme");
    }
    uri.scheme_ = std::string{text.substr(0, colon)};
    rest = text.substr(colon + 1);
  }
  bool known = false;
  for (const std::string_view scheme : kSchemes) {
    known = known || scheme == uri.scheme_;
  }
  // Other schemes are allowed in form, so that a factory can add them.
  if (!known && uri.scheme_.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-") !=
                    std::string::npos) {
    return bad_uri(text, "the scheme has other characters than a-z, 0-9, + and -");
  }
  const std::size_t query = rest.find('?');
  uri.path_ = std::string{rest.substr(0, query)};
  if (uri.scheme_ == "file" && uri.path_.starts_with("///")) {
    uri.path_.erase(0, 2);
  }
  if (uri.path_.empty() || (uri.scheme_ == "file" && uri.path_.front() != '/')) {
    return bad_uri(text, uri.scheme_ == "file" ? "the path is not absolute" : "nothing follows");
  }
  std::string_view attributes = query == std::string_view::npos ? "" : rest.substr(query + 1);
  while (!attributes.empty()) {
    const std::size_t end = attributes.find('&');
    if (Result<void> added =
            add_attribute(text, uri.scheme_, attributes.substr(0, end), uri.attributes_);
        !added) {
      return added.error();
    }
    attributes = end == std::string_view::npos ? "" : attributes.substr(end + 1);
  }
  return uri;
}

std::string KeyUri::attribute(std::string_view name) const {
  const auto it = attributes_.find(name);
  return it == attributes_.end() ? std::string{} : it->second;
}

std::string KeyUri::to_string() const {
  std::string text = scheme_ + ":" + path_;
  char separator = '?';
  for (const auto& [name, value] : attributes_) {
    text += separator;
    text += name;
    text += '=';
    text += value;
    separator = '&';
  }
  return text;
}

}  // namespace skerry::security
