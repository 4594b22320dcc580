// skerry fleet ca: the fleet's certificate authorities. skerry fleet renew: the operator's own
// certificate.

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/security/certificate.hpp"

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetCaOptions {
  std::shared_ptr<Fleet> fleet;
  std::string out;
  std::uint32_t generation = 0;
  bool distrust = false;
};

Result<int> show_authorities(Invocation& invocation,
                             const FleetCaOptions& options,
                             const fleet::ListAuthoritiesResponse& response) {
  if (!options.out.empty()) {
    if (auto written =
            write_file_atomic(invocation.fs, options.out, response.trust_bundle_pem(), 0644);
        !written) {
      return written.error();
    }
    invocation.console.note("authorities written to " + options.out);
  }
  if (invocation.json) {
    invocation.console.print(to_json(response));
    return kExitDone;
  }
  Table table{{"generation", "state", "devices", "ends", "sha256", "name"}};
  for (const auto& authority : response.authorities()) {
    table.add({std::to_string(authority.generation()),
               authority.state(),
               std::to_string(authority.devices()),
               human_time(authority.not_after_unix_ms()),
               authority.fingerprint_sha256().substr(0, 16),
               authority.common_name()});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

Result<int> run_ca_show(Invocation& invocation, const FleetCaOptions& options) {
  const auto response = call_fleet(invocation, *options.fleet, fleet::ListAuthoritiesRequest{});
  return response ? show_authorities(invocation, options, *response) : response.error();
}

Result<int> run_ca_rotate(Invocation& invocation, const FleetCaOptions& options) {
  const auto response = call_fleet(invocation, *options.fleet, fleet::RotateAuthorityRequest{});
  return response ? show_authorities(invocation, options, *response) : response.error();
}

Result<int> run_ca_retire(Invocation& invocation, const FleetCaOptions& options) {
  fleet::RetireAuthorityRequest request;
  request.set_generation(options.generation);
  request.set_distrust(options.distrust);
  const auto response = call_fleet(invocation, *options.fleet, request);
  return response ? show_authorities(invocation, options, *response) : response.error();
}

Result<int> run_fleet_renew(Invocation& invocation, const FleetOnly& options) {
  const auto profile = fleet_profile(invocation, *options.fleet);
  if (!profile) {
    return profile.error();
  }
  const auto uri = key_uri(profile->key);
  if (!uri) {
    return uri.error();
  }
  const auto key = security::make_signer(invocation.fs, *uri);
  if (!key) {
    return key.error().with_context("the operator's key");
  }
  security::CertificateNames names;
  names.common_name = "operator";
  const auto csr = security::make_certificate_request_der(**key, names);
  if (!csr) {
    return csr.error();
  }
  fleet::RenewRequest request;
  request.set_csr_der(std::string{as_text(*csr)});
  const auto response = call_fleet(invocation, *options.fleet, request);
  if (!response) {
    return response.error();
  }
  const auto certificate = security::Certificate::from_pem(response->certificate_chain_pem());
  if (!certificate || !(certificate->public_key() == (*key)->public_key())) {
    return Error{Error::Code::kCertificateInvalid,
                 "the controller's answer is no certificate for this key"};
  }
  // The authorities first: the new certificate is of use only to who trusts the server still.
  if (auto kept =
          write_file_atomic(invocation.fs, profile->ca, response->trust().anchors_pem(), 0644);
      !kept) {
    return kept.error();
  }
  if (auto kept =
          write_file_atomic(invocation.fs, profile->cert, response->certificate_chain_pem(), 0600);
      !kept) {
    return kept.error();
  }
  invocation.console.line(
      fmt::format("{} is good until {}", profile->cert, to_rfc3339(certificate->not_after())));
  return kExitDone;
}

}  // namespace

void add_fleet_ca(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand("ca", "the fleet's certificate authorities");
  command->require_subcommand(1);
  Command* show = command->add_subcommand("show", "who signs certificates, and what still counts");
  auto options = add_fleet_action<FleetCaOptions>(show, invocation, fleet, run_ca_show);
  show->add_option("--out", options->out, "write the authorities to trust to this file (PEM)");
  Command* rotate = command->add_subcommand(
      "rotate", "make the next authority; the present one stays accepted until it is retired");
  options = add_fleet_action<FleetCaOptions>(rotate, invocation, fleet, run_ca_rotate);
  rotate->add_option("--out", options->out, "write the authorities to trust to this file (PEM)");
  Command* retire = command->add_subcommand(
      "retire", "end an authority: its certificates are good for a renewal only");
  options = add_fleet_action<FleetCaOptions>(retire, invocation, fleet, run_ca_retire);
  retire->add_option("generation", options->generation, "which one (skerry fleet ca show)")
      ->required();
  retire->add_flag("--distrust",
                   options->distrust,
                   "its key was stolen: what it signed counts for nothing any more");
  retire->add_option("--out", options->out, "write the authorities to trust to this file (PEM)");
}

void add_fleet_renew(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand(
      "renew", "a new certificate for the operator, and the authorities of today");
  add_fleet_action<FleetOnly>(command, invocation, fleet, run_fleet_renew);
}

}  // namespace skerry::cli
