#pragma once

// The fleet's certificate authorities over the years: one issues, those before it are still
// accepted, or good for a renewal only, or for nothing. Rotation makes the next one and cross-signs
// it with the present one (ADR 0077). Kept in <state>/certificates/authorities.json, one atomic
// file, so a crash leaves the old or the new state; the first authority's certificate is ca.crt
// beside it.
//
// Thread-safe; changes block on the disk.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/security/certificate.hpp"

namespace skerry::controller {

enum class AuthorityState {
  kIssuing,
  // Overlap: what it signed is as good as before; it signs the server's certificate.
  kAccepted,
  // What it signed is good for a renewal only, however long its holder slept.
  kRetired,
  // Stolen: what it signed counts for nothing.
  kDistrusted
};

// "issuing", "accepted", "retired", "distrusted".
std::string_view to_string(AuthorityState state) noexcept;

class Authorities {
 public:
  // At first start makes the first authority, whose key is `identity.ca_key`. Errors name the file.
  static Result<std::unique_ptr<Authorities>> open(FileSystem& fs,
                                                   const Clock& clock,
                                                   const Settings& settings);

  // True if `open` made the first authority.
  [[nodiscard]] bool first_start() const { return first_start_; }

  // By the issuing authority.
  Result<security::Certificate> issue(const security::PublicKey& subject,
                                      const security::CertificateGrant& grant) const;
  // By the oldest that is accepted: everybody who trusts any authority trusts that one.
  Result<security::Certificate> issue_server(const security::PublicKey& subject,
                                             const security::CertificateGrant& grant) const;
  // True if `certificate` is by the authority that `issue_server` uses.
  [[nodiscard]] bool is_server_issuer_of(const security::Certificate& certificate) const;
  // A signature by the issuing authority's key and by the others that have theirs, newest first: a
  // device checks with whichever it knows.
  Result<std::vector<Bytes>> sign(ByteView statement) const;

  // What devices and operators should trust: the accepted ones and the issuing one, oldest first.
  [[nodiscard]] std::string bundle_pem() const;
  // How one authority led to the next, newest first; without those that a distrusted one signed.
  [[nodiscard]] std::string cross_pem() const;

  // kCall: by an authority that is accepted, and in its validity. kRenewal: also after its end, and
  // by a retired authority.
  enum class Use { kCall, kRenewal };
  // kCertificateInvalid if the certificate is good for a renewal but not for `use`;
  // kUnauthenticated if it is good for nothing.
  [[nodiscard]] Result<void> verify(const security::Certificate& certificate,
                                    WallTime now,
                                    Use use) const;
  // Changes with every rotation and retirement, so that a remembered verdict can be dropped.
  [[nodiscard]] std::uint64_t epoch() const;

  // Makes the next authority, durably. kFailedPrecondition while another one is still accepted
  // (retire it first).
  Result<void> rotate(WallTime now);
  // Ends the acceptance of a former authority. kNotFound, kFailedPrecondition for the issuing one.
  Result<void> retire(std::uint32_t generation, bool distrust);

  struct View {
    std::uint32_t generation = 0;
    AuthorityState state = AuthorityState::kIssuing;
    security::Certificate certificate;
  };
  // Oldest first.
  [[nodiscard]] std::vector<View> list() const;

 private:
  struct Root {
    std::uint32_t generation = 0;
    AuthorityState state = AuthorityState::kIssuing;
    std::string key_uri;
    security::Certificate certificate;
    // Its key, signed by the authority before it.
    std::optional<security::Certificate> cross;
    // Where its key is still needed.
    std::shared_ptr<const security::CertificateAuthority> authority;
  };
  using Roots = std::vector<Root>;

  Authorities(FileSystem& fs, std::filesystem::path directory, const Settings& settings);
  Result<Roots> load() const;
  Result<Roots> load_first() const;
  Result<Roots> load_listed() const;
  Result<Roots> make_first(WallTime now);
  Result<void> keep(Roots roots);
  [[nodiscard]] std::shared_ptr<const Roots> roots() const;

  FileSystem& fs_;
  std::filesystem::path directory_;
  std::filesystem::path keys_;
  std::string first_key_;
  std::string trust_domain_;
  bool first_start_ = false;
  mutable std::mutex mutex_;
  // One change at a time; readers take `mutex_` alone.
  std::mutex changing_;
  std::shared_ptr<const Roots> roots_;
  std::uint64_t epoch_ = 1;
};

}  // namespace skerry::controller
