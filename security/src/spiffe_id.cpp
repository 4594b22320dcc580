#include <array>

#include "skerry/security/certificate.hpp"

namespace skerry::security {

namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kMaxUri = 255;
constexpr std::array kKinds{
    SpiffeId::Kind::kDevice, SpiffeId::Kind::kOperator, SpiffeId::Kind::kController};

Error bad_id(std::string_view uri, std::string_view why) {
  return Error{Error::Code::kCertificateInvalid,
               "identity '" + std::string{uri.substr(0, kMaxUri)} + "': " + std::string{why}};
}

bool only(std::string_view text, std::string_view alphabet) {
  return !text.empty() && text.find_first_not_of(alphabet) == std::string_view::npos;
}

}  // namespace

std::string_view to_string(SpiffeId::Kind kind) noexcept {
  switch (kind) {
    case SpiffeId::Kind::kOperator:
      return "operator";
    case SpiffeId::Kind::kController:
      return "controller";
    case SpiffeId::Kind::kDevice:
      break;
  }
  return "device";
}

Result<SpiffeId> SpiffeId::parse(std::string_view uri) {
  if (uri.size() > kMaxUri) {
    return bad_id(uri, "longer than 255 characters");
  }
  if (!uri.starts_with(kScheme)) {
    return bad_id(uri, "does not begin with spiffe://");
  }
  std::string_view rest = uri.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  SpiffeId id;
  id.trust_domain = std::string{rest.substr(0, slash)};
  if (!only(id.trust_domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_")) {
    return bad_id(uri, "the trust domain is empty or has other characters than a-z 0-9 . - _");
  }
  rest = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  const std::size_t next = rest.find('/');
  const std::string_view kind = rest.substr(0, next);
  bool known = false;
  for (const Kind candidate : kKinds) {
    if (kind == security::to_string(candidate)) {
      id.kind = candidate;
      known = true;
    }
  }
  if (!known || next == std::string_view::npos) {
    return bad_id(uri, "the path is not device/<id>, operator/<id> or controller/<id>");
  }
  id.name = std::string{rest.substr(next + 1)};
  if (!only(id.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ||
      id.name.front() == '.') {
    return bad_id(uri, "the name is empty or has other characters than letters, digits . - _");
  }
  return id;
}

std::string SpiffeId::to_string() const {
  return std::string{kScheme} + trust_domain + "/" + std::string{security::to_string(kind)} + "/" +
         name;
}

}  // namespace skerry::security
