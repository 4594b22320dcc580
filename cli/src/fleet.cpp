#include "fleet.hpp"

#include <cstdlib>

#include "skerry/cli/key_files.hpp"

#include "commands.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMaxPem = 1U << 20U;

std::map<std::string, std::string> relevant_environment() {
  std::map<std::string, std::string> environment;
  for (const char* name : {"HOME", "XDG_CONFIG_HOME", "SKERRY_FLEET_CONFIG"}) {
    // One thread runs here; nothing changes the environment.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    if (const char* value = std::getenv(name); value != nullptr) {
      environment[name] = value;
    }
  }
  return environment;
}

Result<grpc::SslCredentialsOptions> load_credentials(FileSystem& fs, const FleetProfile& profile) {
  grpc::SslCredentialsOptions tls;
  auto ca = read_file(fs, profile.ca, kMaxPem);
  if (!ca) {
    return ca.error().with_context("the controller's authority");
  }
  auto cert = read_file(fs, profile.cert, kMaxPem);
  if (!cert) {
    return cert.error().with_context("the operator's certificate");
  }
  const auto uri = key_uri(profile.key);
  if (!uri) {
    return uri.error();
  }
  auto key = security::private_key_pem(fs, *uri);
  if (!key) {
    return key.error().with_context("the operator's key");
  }
  tls.pem_root_certs = std::move(*ca);
  tls.pem_cert_chain = std::move(*cert);
  tls.pem_private_key = std::move(*key);
  return tls;
}

}  // namespace

Result<FleetConnection> connect_fleet(Invocation& invocation, const Fleet& options) {
  const auto profile = resolve_profile(invocation.fs, options.arguments, relevant_environment());
  if (!profile) {
    return profile.error();
  }
  const auto tls = load_credentials(invocation.fs, *profile);
  if (!tls) {
    return tls.error();
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  if (!profile->server_name.empty()) {
    arguments.SetSslTargetNameOverride(profile->server_name);
  }
  const auto channel =
      grpc::CreateCustomChannel(profile->controller, grpc::SslCredentials(*tls), arguments);
  constexpr std::chrono::seconds kConnect{10};
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnect)) {
    // One call to learn why; waiting tells nothing.
    const FleetConnection probe{profile->controller, fleet::FleetService::NewStub(channel)};
    const auto answer = call(probe,
                             &fleet::FleetService::Stub::GetController,
                             fleet::GetControllerRequest{},
                             std::chrono::seconds{2});
    if (!answer) {
      return Error{Error::Code::kUnavailable,
                   "no connection to the controller at " + profile->controller + ": " +
                       answer.error().message()};
    }
  }
  return FleetConnection{profile->controller, fleet::FleetService::NewStub(channel)};
}

std::string rollout_state(fleet::RolloutState state) {
  constexpr std::string_view kPrefix = "ROLLOUT_STATE_";
  std::string name = fleet::RolloutState_Name(state);
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

void add_fleet_command(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("fleet", "many gateways, through their controller");
  command->require_subcommand(1);
  auto options = std::make_shared<Fleet>();
  FleetArguments& arguments = options->arguments;
  command->add_option("--controller", arguments.profile.controller, "host:port");
  command->add_option("--cert", arguments.profile.cert, "the operator's certificate");
  command->add_option(
      "--key", arguments.profile.key, "the operator's private key: path or key URI");
  command->add_option(
      "--ca", arguments.profile.ca, "certificates that the controller's is checked with");
  command->add_option("--server-name",
                      arguments.profile.server_name,
                      "the name in the controller's certificate, if it is not the host");
  command->add_option(
      "--operator", arguments.operator_folder, "folder with operator.crt, operator.key and ca.crt");
  command->add_option("--profile", arguments.file, "default: ~/.config/skerry/fleet.toml");
  add_fleet_info(*command, invocation, options);
  add_fleet_token(*command, invocation, options);
  add_fleet_devices(*command, invocation, options);
  add_fleet_models(*command, invocation, options);
  add_fleet_push(*command, invocation, options);
  add_fleet_publish(*command, invocation, options);
  add_fleet_rollout(*command, invocation, options);
  add_fleet_telemetry(*command, invocation, options);
  add_fleet_audit(*command, invocation, options);
}

}  // namespace skerry::cli
