// skerry token create|list|revoke: bearer tokens for apps on the TCP port.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct TokenCreateOptions {
  std::string name;
  std::uint64_t ttl_days = 0;
  std::string out;
};

Result<int> run_token_create(Invocation& invocation, const TokenCreateOptions& options) {
  constexpr std::uint64_t kSecondsPerDay = 86'400;
  admin::CreateTokenRequest request;
  request.set_name(options.name);
  request.set_ttl_seconds(options.ttl_days * kSecondsPerDay);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (!options.out.empty()) {
    if (auto written =
            write_file_atomic(invocation.fs, options.out, response->secret() + "\n", 0600);
        !written) {
      return written.error().with_context("the token was made but not written, revoke it");
    }
    invocation.console.note("token " + options.name + " written to " + options.out);
    return kExitDone;
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    invocation.console.line(response->secret());
    invocation.console.note("shown once; policies name it token:" + options.name);
  }
  return kExitDone;
}

Result<int> run_token_list(Invocation& invocation, const NoOptions& /*options*/) {
  const auto response = call_admin(invocation, admin::ListTokensRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"name", "created", "expires"}};
  for (const auto& token : response->tokens()) {
    table.add({token.name(),
               human_time(token.created_unix_ms()),
               token.expires_unix_ms() == 0 ? "never" : human_time(token.expires_unix_ms())});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

struct RevokeOptions {
  std::string name;
};

Result<int> run_revoke(Invocation& invocation, const RevokeOptions& options) {
  admin::RevokeTokenRequest request;
  request.set_name(options.name);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (!response->found()) {
    return Error{Error::Code::kNotFound, "there is no token " + options.name};
  }
  invocation.console.line("revoked " + options.name);
  return kExitDone;
}

}  // namespace

void add_token_command(Command& app, Invocation& invocation) {
  Command* token = app.add_subcommand("token", "bearer tokens for apps that use TCP");
  token->require_subcommand(1);
  Command* create = token->add_subcommand("create", "make a token; its secret is shown once");
  const auto create_options = add_action<TokenCreateOptions>(create, invocation, run_token_create);
  create->add_option("name", create_options->name, "how policies call it: token:NAME")->required();
  create->add_option("--days", create_options->ttl_days, "valid for so many days; 0: always");
  create->add_option("--out", create_options->out, "write the secret to this file (mode 0600)");
  add_action<NoOptions>(
      token->add_subcommand("list", "names and ends of the tokens"), invocation, run_token_list);
  Command* revoke = token->add_subcommand("revoke", "refuse a token from now on");
  const auto revoke_options = add_action<RevokeOptions>(revoke, invocation, run_revoke);
  revoke->add_option("name", revoke_options->name, "")->required();
}

}  // namespace skerry::cli
