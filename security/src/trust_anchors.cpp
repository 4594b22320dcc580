#include "skerry/security/trust_anchors.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxPeerChain = 16;

Error not_ours(std::string message) {
  return Error{Error::Code::kCertificateInvalid, std::move(message)};
}

bool valid_at(const Certificate& certificate, const std::optional<WallTime>& time) {
  return !time || (certificate.not_before() <= *time && *time <= certificate.not_after());
}

// The way from a certificate to an anchor over CA certificates of `links`. Each is visited once:
// whether it leads on does not depend on how it was reached.
class PathSearch {
 public:
  PathSearch(const std::vector<Certificate>& anchors,
             const std::vector<Certificate>& links,
             std::optional<WallTime> time)
      : anchors_(anchors), links_(links), time_(time), visited_(links.size(), false) {}

  bool reaches_an_anchor(const Certificate& from) {
    std::vector<const Certificate*> open{&from};
    while (!open.empty()) {
      const Certificate& certificate = *open.back();
      open.pop_back();
      const auto signs = [&](const Certificate& issuer) {
        return valid_at(issuer, time_) && certificate.verify_signature(issuer);
      };
      if (std::any_of(anchors_.begin(), anchors_.end(), signs)) {
        return true;
      }
      for (std::size_t i = 0; i < links_.size(); ++i) {
        if (!visited_[i] && signs(links_[i])) {
          visited_[i] = true;
          open.push_back(&links_[i]);
        }
      }
    }
    return false;
  }

 private:
  const std::vector<Certificate>& anchors_;
  const std::vector<Certificate>& links_;
  std::optional<WallTime> time_;
  std::vector<bool> visited_;
};

std::string names_of(const std::vector<Certificate>& certificates) {
  std::string names;
  for (const Certificate& one : certificates) {
    names += (names.empty() ? "'" : ", '") + one.common_name() + "'";
  }
  return names;
}

}  // namespace

Result<TrustAnchors> TrustAnchors::from_pem(std::string_view bundle) {
  auto certificates = certificates_from_pem(bundle);
  if (!certificates) {
    return certificates.error().with_context("trusted authorities");
  }
  for (const Certificate& one : *certificates) {
    if (!one.is_ca() || !one.verify_signature(one)) {
      return not_ours("trusted authorities: '" + one.common_name() +
                      "' is no self-signed certificate authority");
    }
  }
  return TrustAnchors{std::move(*certificates)};
}

std::string TrustAnchors::pem() const {
  std::string text;
  for (const Certificate& one : anchors_) {
    text += one.pem();
  }
  return text;
}

Result<void> TrustAnchors::verify(const std::vector<Certificate>& chain,
                                  const TrustedTime& time) const {
  if (chain.empty() || chain.size() > kMaxPeerChain) {
    return not_ours("a chain of " + std::to_string(chain.size()) +
                    " certificates; 1 to 16 are expected");
  }
  const Certificate& leaf = chain.front();
  const std::vector<Certificate> links{chain.begin() + 1, chain.end()};
  if (!PathSearch{anchors_, links, std::nullopt}.reaches_an_anchor(leaf)) {
    return not_ours("the certificate of '" + leaf.common_name() +
                    "' leads to none of the trusted authorities " + names_of(anchors_));
  }
  if (!time.attested()) {
    return {};
  }
  if (!valid_at(leaf, time.now)) {
    return not_ours("the certificate of '" + leaf.common_name() + "' is valid from " +
                    to_rfc3339(leaf.not_before()) + " to " + to_rfc3339(leaf.not_after()) +
                    "; it is now " + to_rfc3339(time.now));
  }
  if (!PathSearch{anchors_, links, time.now}.reaches_an_anchor(leaf)) {
    return not_ours("an authority of the certificate of '" + leaf.common_name() +
                    "' is outside its validity; it is now " + to_rfc3339(time.now));
  }
  return {};
}

Result<TrustAnchors> TrustAnchors::succeeded_by(std::string_view bundle,
                                                std::string_view cross_certificates) const {
  auto next = from_pem(bundle);
  if (!next) {
    return next.error();
  }
  std::vector<Certificate> links;
  if (!cross_certificates.empty()) {
    auto parsed = certificates_from_pem(cross_certificates);
    if (!parsed) {
      return parsed.error().with_context("cross certificates");
    }
    links = std::move(*parsed);
  }
  for (const Certificate& anchor : next->anchors_) {
    const auto same = [&](const Certificate& known) {
      return known.fingerprint() == anchor.fingerprint();
    };
    // A cross certificate of the same name and key vouches for the self-signed one.
    const auto vouches = [&](const Certificate& cross) {
      return cross.is_ca() && cross.spki_digest() == anchor.spki_digest() &&
             cross.common_name() == anchor.common_name() &&
             PathSearch{anchors_, links, std::nullopt}.reaches_an_anchor(cross);
    };
    if (std::none_of(anchors_.begin(), anchors_.end(), same) &&
        std::none_of(links.begin(), links.end(), vouches)) {
      return not_ours("the new authority '" + anchor.common_name() +
                      "' is vouched for by none of the trusted authorities " + names_of(anchors_));
    }
  }
  return next;
}

}  // namespace skerry::security
