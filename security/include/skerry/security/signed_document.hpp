#pragma once

// Documents of the `security` role as a device keeps them: policy, revocations, permits. The last
// verified one and the one before it are on disk, so that a gateway starts with them when there is
// no network, and a damaged copy costs one version and not the protection. Who verified them is the
// caller (TUF); here they are only kept, compared and never replaced by an older one.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// Target paths, and the roles whose word counts for them besides their delegator's.
namespace security_target {
inline constexpr std::string_view kRole = "security";
inline constexpr std::string_view kPolicyPrefix = "security/policy/";
inline constexpr std::string_view kRevocations = "security/revocations";
inline constexpr std::string_view kPermits = "security/permits";
}  // namespace security_target

struct SignedDocument {
  std::string target;
  // Which role listed the target, and the version of its metadata.
  std::string role;
  std::int64_t role_version = 0;
  // The document's own counter.
  std::int64_t version = 0;
  std::string bytes;
  Digest digest;
  WallTime verified_at{};
};

// One kind of document. Thread-safe.
class SignedDocumentStore {
 public:
  // Gives the version of a document that is right in itself.
  using Check = std::function<Result<std::int64_t>(std::string_view)>;
  struct Options {
    // The current one; the one before it is `<path>.previous`.
    std::filesystem::path path;
    // "policy", for messages.
    std::string what;
    std::size_t limit = 1U << 20U;
    Check check;
    // The highest version that was ever taken, kept elsewhere: an older copy put back is not taken.
    std::int64_t floor = 0;
  };

  // Takes the newest kept copy that is whole. Damage is no error: see `damage` and `lost`.
  static std::unique_ptr<SignedDocumentStore> open(FileSystem& fs, Options options);

  // Null if none was ever kept, or all were lost.
  [[nodiscard]] std::shared_ptr<const SignedDocument> current() const;
  // What was wrong with each copy at `open`.
  [[nodiscard]] const std::vector<std::string>& damage() const { return damage_; }
  // There was one and no copy is left: whatever it forbade must not be allowed now.
  [[nodiscard]] bool lost() const;

  // Whether `accept` would change anything: another digest than the current one's.
  [[nodiscard]] bool is_new(const Digest& digest) const;
  // What `accept` would say, without doing it. Fills in version and digest.
  Result<SignedDocument> examine(SignedDocument candidate) const;
  // Keeps it durably, then makes it current. kRollback for a version that is not above the current
  // one's (the same bytes again change nothing), the error of `check`, kIo. On a failure the
  // current one stays, here and on disk.
  Result<std::shared_ptr<const SignedDocument>> accept(SignedDocument candidate);

 private:
  SignedDocumentStore(FileSystem& fs, Options options);
  Result<SignedDocument> read_copy(const std::filesystem::path& path) const;
  [[nodiscard]] std::filesystem::path previous_path() const;

  FileSystem& fs_;
  Options options_;
  std::vector<std::string> damage_;
  std::mutex replacing_;
  mutable std::mutex mutex_;
  std::shared_ptr<const SignedDocument> current_;
  std::int64_t floor_;
  bool lost_ = false;
};

}  // namespace skerry::security
