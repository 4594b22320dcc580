#pragma once

// `Error` is the one failure type that crosses a module boundary: a stable `Code` to branch on and
// a message for people. docs/errors.md lists every code with its meaning and what an administrator
// does about it.
//
// Codes are written to the audit log, to telemetry and to the wire, so a value is never renumbered
// or reused. They are grouped by module in hexadecimal nibbles; a removed one stays here as a
// comment.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skerry {

class [[nodiscard]] Error {
 public:
  enum class Code : std::uint16_t {
    // Any module.
    kInternal = 0x01,
    kInvalidArgument = 0x02,
    kNotFound = 0x03,
    kAlreadyExists = 0x04,
    kUnavailable = 0x05,
    kCancelled = 0x06,
    kDeadlineExceeded = 0x07,
    kIo = 0x08,
    kNoSpace = 0x09,
    kUnimplemented = 0x0a,
    kFailedPrecondition = 0x0b,
    kResourceExhausted = 0x0c,
    kParse = 0x0d,
    kTooLarge = 0x0e,
    kDatabase = 0x0f,
    // security
    kSignatureInvalid = 0x20,
    kThresholdNotMet = 0x21,
    kMetadataExpired = 0x22,
    kRollback = 0x23,
    kMetadataMismatch = 0x24,
    kPermissionDenied = 0x25,
    kUnauthenticated = 0x26,
    kKeyInvalid = 0x27,
    kAuditCorrupt = 0x28,
    kCertificateInvalid = 0x29,
    kPolicyInvalid = 0x2a,
    // registry
    kDigestMismatch = 0x30,
    kSizeMismatch = 0x31,
    kManifestInvalid = 0x32,
    kModelFormat = 0x33,
    kQuotaExceeded = 0x34,
    kNoFittingVariant = 0x35,
    kQuarantined = 0x36,
    // runtime
    kWorkerLost = 0x40,
    kWorkerSetup = 0x41,
    kPluginInvalid = 0x42,
    kModelLoad = 0x43,
    kContextTooLong = 0x44,
    kOutOfMemory = 0x45,
    kQueueFull = 0x46,
    kGateFailed = 0x47,
    // agent, controller
    kConfigInvalid = 0x50,
    kNotEnrolled = 0x51,
    kProtocolMismatch = 0x52,
    kEnrolmentRefused = 0x53,
  };

  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] Code code() const noexcept { return code_; }

  [[nodiscard]] const std::string& message() const noexcept { return message_; }

  // Returns the same error with `what` put before the message: "loading manifest: no such file".
  [[nodiscard]] Error with_context(std::string_view what) const;

  // "permission_denied: alice may not infer acme/log-triage"
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Error&, const Error&) = default;

 private:
  Code code_;
  std::string message_;
};

// The code's stable name in logs, JSON and docs: "digest_mismatch". "unknown" for a value that is
// not listed above.
std::string_view to_string(Error::Code code) noexcept;

// Every code, in numeric order: for the table in docs/errors.md and the test that compares them.
const std::vector<Error::Code>& all_error_codes();

// An `Error` from errno: kNoSpace for ENOSPC and EDQUOT, kNotFound for ENOENT, kPermissionDenied
// for EACCES and EPERM, kAlreadyExists for EEXIST, kIo otherwise. The message is "<what>:
// <strerror>".
Error errno_error(int error_number, std::string_view what);

}  // namespace skerry
