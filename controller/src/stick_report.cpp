#include "stick_report.hpp"

#include "skerry/security/stick_report.hpp"

namespace skerry::controller {

Result<fleet::v1::StickReport> open_stick_report(std::string_view bytes,
                                                 const Authorities& authorities,
                                                 std::string_view trust_domain,
                                                 WallTime now) {
  if (bytes.size() > StickReportLimits::kBytes) {
    return Error{Error::Code::kTooLarge, "a part of a report has at most 4 MiB"};
  }
  fleet::v1::SignedStickReport signed_report;
  if (!signed_report.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error{Error::Code::kParse, "these bytes are no signed report"};
  }
  if (signed_report.certificate_chain_pem().size() > StickReportLimits::kChainBytes) {
    return Error{Error::Code::kTooLarge, "the certificate with a report has at most 64 KiB"};
  }
  const auto certificate = security::Certificate::from_pem(signed_report.certificate_chain_pem());
  if (!certificate) {
    return certificate.error().with_context("the report's certificate");
  }
  if (auto known = authorities.verify(*certificate, now, Authorities::Use::kRenewal); !known) {
    return known.error();
  }
  const auto identity = certificate->identity();
  if (!identity) {
    return identity.error().with_context("the report's certificate");
  }
  if (identity->kind != security::SpiffeId::Kind::kDevice ||
      identity->trust_domain != trust_domain) {
    return Error{Error::Code::kPermissionDenied,
                 "the report is signed by " + identity->to_string() + ", which is no device of " +
                     std::string{trust_domain}};
  }
  const std::string statement = security::stick_report_statement(signed_report.report());
  if (auto valid = certificate->public_key().verify(as_bytes(statement),
                                                    as_bytes(signed_report.signature()));
      !valid) {
    return Error{Error::Code::kSignatureInvalid,
                 "the report is not signed by the key of " + identity->name +
                     ": it was changed on the way, or made by somebody else"};
  }
  fleet::v1::StickReport report;
  if (!report.ParseFromString(signed_report.report())) {
    return Error{Error::Code::kParse, "what " + identity->name + " signed is no report"};
  }
  if (report.device_id() != identity->name) {
    return Error{Error::Code::kPermissionDenied,
                 identity->name + " signed a report of " + report.device_id().substr(0, 80)};
  }
  return report;
}

}  // namespace skerry::controller
