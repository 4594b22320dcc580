// The administrators' calls on who may do what: policy, permissions, tokens.

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"

#include "admin_grpc.hpp"
#include "call.hpp"
#include "model_text.hpp"

namespace skerry::agent {
namespace admin_pb = skerry::admin::v1;
using security::Verb;

grpc::ServerUnaryReactor* AdminGrpc::CanI(grpc::CallbackServerContext* context,
                                          const admin_pb::CanIRequest* request,
                                          admin_pb::CanIResponse* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "admin.can_i",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        Administration::Parts& parts = administration_.parts();
        security::Principal subject = caller.principal;
        if (!request->subject().empty()) {
          // About oneself anyone may ask; about others, who may read the policy.
          Result<void> allowed = co_await parts.access.authorise_read(
              std::move(caller), Verb::kAdminPolicyRead, "policy.can_i");
          if (!allowed) {
            co_return to_status(allowed.error());
          }
          Result<security::Principal> parsed = security::parse_principal(request->subject());
          if (!parsed) {
            co_return to_status(parsed.error());
          }
          subject = *std::move(parsed);
        }
        Result<Verb> verb = security::parse_verb(request->verb());
        if (!verb) {
          co_return to_status(verb.error());
        }
        security::Resource resource;
        resource.model = request->resource();
        if (const std::size_t at = resource.model.find('@'); at != std::string::npos) {
          resource.variant = resource.model.substr(at + 1);
          resource.model.resize(at);
        }
        const security::Decision decision = parts.access.decide(subject, *verb, resource);
        response->set_allowed(decision.allowed);
        response->set_reason(decision.reason);
        response->set_rule(decision.rule);
        response->set_role(decision.role);
        response->set_binding(decision.binding);
        response->set_policy_version(std::to_string(decision.policy_version));
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* AdminGrpc::SetPolicy(grpc::CallbackServerContext* context,
                                               const admin_pb::SetPolicyRequest* request,
                                               admin_pb::SetPolicyResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.set_policy",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<std::shared_ptr<const security::Policy>> policy =
                         co_await administration_.set_policy(
                             std::move(caller), request->document(), request->dry_run());
                     if (!policy) {
                       co_return to_status(policy.error());
                     }
                     response->set_policy_version(std::to_string((*policy)->version()));
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::GetPolicy(grpc::CallbackServerContext* context,
                                               const admin_pb::GetPolicyRequest*,
                                               admin_pb::GetPolicyResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.get_policy",
                   [this, response](Caller caller) -> Task<grpc::Status> {
                     Result<std::string> text =
                         co_await administration_.policy_document(std::move(caller));
                     if (!text) {
                       co_return to_status(text.error());
                     }
                     response->set_document(*text);
                     response->set_policy_version(
                         std::to_string(administration_.parts().access.policy()->version()));
                     co_return grpc::Status::OK;
                   });
}

void fill_break_glass(const agent::BreakGlass::View& view,
                      bool active,
                      admin_pb::BreakGlassStatus* out) {
  out->set_active(active);
  out->set_id(view.id);
  out->set_reason(view.reason);
  out->set_began_unix_ms(unix_ms(view.began));
  out->set_left_seconds(active ? static_cast<std::uint64_t>(view.left.count()) : 0);
  out->set_uses(view.uses);
}

grpc::ServerUnaryReactor* AdminGrpc::BreakGlass(grpc::CallbackServerContext* context,
                                                const admin_pb::BreakGlassRequest* request,
                                                admin_pb::BreakGlassResponse* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "admin.break_glass",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        agent::BreakGlass& glass = administration_.parts().access.break_glass();
        if (request->end() && !agent::BreakGlass::is_root(caller)) {
          // Ending it takes power away: whoever keeps the policy may do that.
          security::Resource resource;
          Result<security::Decision> allowed = co_await administration_.parts().access.authorise(
              caller, Verb::kAdminPolicyWrite, resource, "break_glass.end");
          if (!allowed) {
            co_return to_status(allowed.error());
          }
        }
        // Beyond the limit either way; kept from overflowing here.
        const std::chrono::seconds time(
            static_cast<std::int64_t>(std::min<std::uint64_t>(request->seconds(), 1U << 30U)));
        Result<agent::BreakGlass::View> view = agent::BreakGlass::View();
        if (request->end()) {
          view = co_await glass.end(std::move(caller));
        } else {
          view = co_await glass.begin(std::move(caller), request->reason(), time);
        }
        if (!view) {
          co_return to_status(view.error());
        }
        fill_break_glass(*view, !request->end(), response->mutable_status());
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* AdminGrpc::CreateToken(grpc::CallbackServerContext* context,
                                                 const admin_pb::CreateTokenRequest* request,
                                                 admin_pb::CreateTokenResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.create_token",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<security::NewToken> token = co_await administration_.create_token(
                         std::move(caller), request->name(), request->ttl_seconds());
                     if (!token) {
                       co_return to_status(token.error());
                     }
                     response->set_secret(token->secret);
                     if (token->record.expires) {
                       response->set_expires_unix_ms(unix_ms(*token->record.expires));
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::ListTokens(grpc::CallbackServerContext* context,
                                                const admin_pb::ListTokensRequest*,
                                                admin_pb::ListTokensResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.list_tokens",
                   [this, response](Caller caller) -> Task<grpc::Status> {
                     Result<std::vector<security::TokenRecord>> tokens =
                         co_await administration_.list_tokens(std::move(caller));
                     if (!tokens) {
                       co_return to_status(tokens.error());
                     }
                     for (const security::TokenRecord& token : *tokens) {
                       admin_pb::TokenInfo& out = *response->add_tokens();
                       out.set_name(token.name);
                       out.set_created_unix_ms(unix_ms(token.created));
                       if (token.expires) {
                         out.set_expires_unix_ms(unix_ms(*token.expires));
                       }
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::RevokeToken(grpc::CallbackServerContext* context,
                                                 const admin_pb::RevokeTokenRequest* request,
                                                 admin_pb::RevokeTokenResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.revoke_token",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<bool> found =
                         co_await administration_.revoke_token(std::move(caller), request->name());
                     if (!found) {
                       co_return to_status(found.error());
                     }
                     response->set_found(*found);
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::Decommission(grpc::CallbackServerContext* context,
                                                  const admin_pb::DecommissionRequest* request,
                                                  admin_pb::DecommissionResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.decommission",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<std::string> order = co_await administration_.decommission(
                         std::move(caller), request->confirm(), request->reason());
                     if (!order) {
                       co_return to_status(order.error());
                     }
                     response->set_order_id(*order);
                     co_return grpc::Status::OK;
                   });
}

}  // namespace skerry::agent
