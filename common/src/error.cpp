#include "skerry/common/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace skerry {
namespace {

struct Row {
  Error::Code code;
  std::string_view name;
};

constexpr std::array kRows{
    Row{Error::Code::kInternal, "internal"},
    Row{Error::Code::kInvalidArgument, "invalid_argument"},
    Row{Error::Code::kNotFound, "not_found"},
    Row{Error::Code::kAlreadyExists, "already_exists"},
    Row{Error::Code::kUnavailable, "unavailable"},
    Row{Error::Code::kCancelled, "cancelled"},
    Row{Error::Code::kDeadlineExceeded, "deadline_exceeded"},
    Row{Error::Code::kIo, "io"},
    Row{Error::Code::kNoSpace, "no_space"},
    Row{Error::Code::kUnimplemented, "unimplemented"},
    Row{Error::Code::kFailedPrecondition, "failed_precondition"},
    Row{Error::Code::kResourceExhausted, "resource_exhausted"},
    Row{Error::Code::kParse, "parse"},
    Row{Error::Code::kTooLarge, "too_large"},
    Row{Error::Code::kDatabase, "database"},
    Row{Error::Code::kSignatureInvalid, "signature_invalid"},
    Row{Error::Code::kThresholdNotMet, "threshold_not_met"},
    Row{Error::Code::kMetadataExpired, "metadata_expired"},
    Row{Error::Code::kRollback, "rollback"},
    Row{Error::Code::kMetadataMismatch, "metadata_mismatch"},
    Row{Error::Code::kPermissionDenied, "permission_denied"},
    Row{Error::Code::kUnauthenticated, "unauthenticated"},
    Row{Error::Code::kKeyInvalid, "key_invalid"},
    Row{Error::Code::kAuditCorrupt, "audit_corrupt"},
    Row{Error::Code::kCertificateInvalid, "certificate_invalid"},
    Row{Error::Code::kPolicyInvalid, "policy_invalid"},
    Row{Error::Code::kDigestMismatch, "digest_mismatch"},
    Row{Error::Code::kSizeMismatch, "size_mismatch"},
    Row{Error::Code::kManifestInvalid, "manifest_invalid"},
    Row{Error::Code::kModelFormat, "model_format"},
    Row{Error::Code::kQuotaExceeded, "quota_exceeded"},
    Row{Error::Code::kNoFittingVariant, "no_fitting_variant"},
    Row{Error::Code::kQuarantined, "quarantined"},
    Row{Error::Code::kWorkerLost, "worker_lost"},
    Row{Error::Code::kWorkerSetup, "worker_setup"},
    Row{Error::Code::kPluginInvalid, "plugin_invalid"},
    Row{Error::Code::kModelLoad, "model_load"},
    Row{Error::Code::kContextTooLong, "context_too_long"},
    Row{Error::Code::kOutOfMemory, "out_of_memory"},
    Row{Error::Code::kQueueFull, "queue_full"},
    Row{Error::Code::kGateFailed, "gate_failed"},
    Row{Error::Code::kConfigInvalid, "config_invalid"},
    Row{Error::Code::kNotEnrolled, "not_enrolled"},
    Row{Error::Code::kProtocolMismatch, "protocol_mismatch"},
    Row{Error::Code::kEnrolmentRefused, "enrolment_refused"},
};

Error::Code code_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return Error::Code::kNoSpace;
    case ENOENT:
      return Error::Code::kNotFound;
    case EACCES:
    case EPERM:
      return Error::Code::kPermissionDenied;
    case EEXIST:
      return Error::Code::kAlreadyExists;
    default:
      return Error::Code::kIo;
  }
}

}  // namespace

Error Error::with_context(std::string_view what) const {
  return {code_, std::string{what} + ": " + message_};
}

std::string Error::to_string() const {
  return std::string{skerry::to_string(code_)} + ": " + message_;
}

std::string_view to_string(Error::Code code) noexcept {
  for (const auto& row : kRows) {
    if (row.code == code) {
      return row.name;
    }
  }
  return "unknown";
}

const std::vector<Error::Code>& all_error_codes() {
  static const std::vector<Error::Code> codes = [] {
    std::vector<Error::Code> list;
    list.reserve(std::size(kRows));
    for (const auto& row : kRows) {
      list.push_back(row.code);
    }
    return list;
  }();
  return codes;
}

Error errno_error(int error_number, std::string_view what) {
  return {code_of(error_number),
          std::string{what} + ": " + std::generic_category().message(error_number)};
}

}  // namespace skerry
