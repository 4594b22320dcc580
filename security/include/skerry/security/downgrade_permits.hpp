#pragma once

// Leaves to run an older version once: a document that the `security` role signs (target
// `security/permits`). Without one, a release counter below what a device committed is refused.
// Made by `skerry repo permit-downgrade`, used up in the catalogue's transaction. Format:
// docs/formats/revocations.md.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// Each device that it names may use it once.
struct DowngradePermit {
  // 16 to 64 of [0-9a-f]: what a device remembers when it has used it.
  std::string nonce;
  // Patterns of device ids, "*" for all.
  std::vector<std::string> devices;
  // "team/name", no pattern.
  std::string model;
  // It is good while the device's counter is at most `from_counter`, for versions whose counter is
  // at least `to_counter`.
  std::uint64_t from_counter = 0;
  std::uint64_t to_counter = 0;
  WallTime expires{};
  std::string reason;
};

// Limits of a document; more is kParse.
struct PermitLimits {
  static constexpr std::size_t kBytes = 1U << 20U;
  static constexpr std::size_t kPermits = 1000;
  static constexpr std::size_t kDevices = 256;
  static constexpr std::size_t kPattern = 256;
  static constexpr std::size_t kReason = 400;
};

class DowngradePermits {
 public:
  // Permits nothing; version 0.
  DowngradePermits() = default;
  // kParse names the path of what is wrong.
  static Result<DowngradePermits> parse(std::string_view document);

  [[nodiscard]] std::int64_t version() const { return version_; }
  [[nodiscard]] const std::vector<DowngradePermit>& permits() const { return permits_; }

  // Those that let `device`, whose counter for `model` is `held`, run `wanted`; expiry and whether
  // they were used is for the caller.
  [[nodiscard]] std::vector<DowngradePermit> matching(std::string_view device,
                                                      std::string_view model,
                                                      std::uint64_t held,
                                                      std::uint64_t wanted) const;

  // kInvalidArgument if it is not a valid one, kAlreadyExists for a nonce that is there.
  Result<void> add(DowngradePermit permit);
  // kNotFound if there is none.
  Result<void> remove(std::string_view nonce);
  // Drops those that ended before `now`.
  void drop_expired(WallTime now);
  void set_version(std::int64_t version) { version_ = version; }
  [[nodiscard]] std::string document() const;

 private:
  std::int64_t version_ = 0;
  std::vector<DowngradePermit> permits_;
};

}  // namespace skerry::security
