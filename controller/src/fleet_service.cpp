#include "fleet_service.hpp"

#include <utility>

#include "device_session.hpp"
#include "fleet_streams.hpp"
#include "fleet_views.hpp"
#include "model_intake.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using security::SpiffeId;
using security::Verb;

constexpr int kMaxDigests = 65'536;

// Whether an operator means the director repository; without a name it is the image repository.
Result<bool> is_director(const std::string& repository) {
  if (repository.empty() || repository == TrustPublisher::kImage) {
    return false;
  }
  if (repository == Director::kRepository) {
    return true;
  }
  return Error{Error::Code::kNotFound,
               "this controller has the repositories \"image\" and \"director\""};
}

}  // namespace

Result<Caller> FleetServiceImpl::reader(const grpc::ServerContextBase& call,
                                        Verb verb,
                                        std::string_view action) {
  auto caller = context_.guard.caller(call, SpiffeId::Kind::kOperator);
  if (!caller) {
    return caller.error();
  }
  if (auto decision = context_.guard.authorise(*caller, verb, action); !decision) {
    return decision.error();
  }
  return caller;
}

grpc::ServerUnaryReactor* FleetServiceImpl::GetController(grpc::CallbackServerContext* call,
                                                          const pb::GetControllerRequest*,
                                                          pb::GetControllerResponse* response) {
  const auto work = [this, call]() -> Result<pb::GetControllerResponse> {
    const auto caller = reader(*call, Verb::kFleetModelsRead, "controller.read");
    if (!caller) {
      return caller.error();
    }
    const auto versions = context_.trust.versions(context_.guard.tenant());
    if (!versions) {
      return versions.error();
    }
    pb::GetControllerResponse out;
    out.set_version(std::string{kControllerVersion});
    out.add_online_keys(context_.trust.online_key());
    out.set_trust_domain(context_.settings.identity().trust_domain);
    out.set_protocol_version(kProtocolVersion);
    out.set_min_protocol_version(kMinProtocolVersion);
    out.set_image_root_version(static_cast<std::uint64_t>(versions->root));
    out.set_image_targets_version(static_cast<std::uint64_t>(versions->targets));
    const auto director = context_.director.root_version(context_.guard.tenant());
    if (!director) {
      return director.error();
    }
    out.set_director_key(context_.director.key());
    out.set_director_root_version(static_cast<std::uint64_t>(*director));
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::CreateEnrolmentToken(
    grpc::CallbackServerContext* call,
    const pb::CreateEnrolmentTokenRequest* request,
    pb::CreateEnrolmentTokenResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::CreateEnrolmentTokenResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto create = [&]() -> Result<IssuedToken> {
      if (request->ttl_seconds() > std::uint64_t{366} * 86'400) {
        return Error{Error::Code::kInvalidArgument, "a token may live at most a year"};
      }
      TokenRequest wanted;
      wanted.tenant_id = context_.guard.tenant();
      wanted.site_id = request->site_id();
      wanted.note = request->note();
      wanted.created_by = caller->principal.name;
      wanted.ttl = std::chrono::seconds{static_cast<std::int64_t>(request->ttl_seconds())};
      return context_.enrolment.create_token(wanted);
    };
    const auto token =
        context_.guard.act(*caller, Verb::kFleetEnrol, "enrolment-token.create", {}, create);
    if (!token) {
      return token.error();
    }
    pb::CreateEnrolmentTokenResponse out;
    out.set_token(token->token);
    out.set_expires_unix_ms(static_cast<std::uint64_t>(token->expires_ms));
    out.set_controller_spki_sha256(context_.identity.server_spki);
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::ListDevices(grpc::CallbackServerContext* call,
                                                        const pb::ListDevicesRequest* request,
                                                        pb::ListDevicesResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::ListDevicesResponse> {
    const auto caller = reader(*call, Verb::kFleetDevicesRead, "device.list");
    if (!caller) {
      return caller.error();
    }
    const auto devices = context_.store.devices(context_.guard.tenant(), request->site_id());
    if (!devices) {
      return devices.error();
    }
    pb::ListDevicesResponse out;
    for (const auto& device : *devices) {
      auto view = device_view(context_, device);
      if (!view) {
        return view.error();
      }
      *out.add_devices() = std::move(*view);
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::GetDevice(grpc::CallbackServerContext* call,
                                                      const pb::GetDeviceRequest* request,
                                                      pb::Device* response) {
  const auto work = [this, call, request]() -> Result<pb::Device> {
    const auto caller = reader(*call, Verb::kFleetDevicesRead, "device.read");
    if (!caller) {
      return caller.error();
    }
    const auto device = context_.store.find_device(request->device_id());
    if (!device) {
      return device.error();
    }
    if (!*device || (**device).tenant_id != context_.guard.tenant()) {
      return Error{Error::Code::kNotFound,
                   "there is no device \"" + request->device_id().substr(0, 80) + "\""};
    }
    return device_view(context_, **device);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::MissingBlobs(grpc::CallbackServerContext* call,
                                                         const pb::MissingBlobsRequest* request,
                                                         pb::MissingBlobsResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::MissingBlobsResponse> {
    const auto caller = reader(*call, Verb::kFleetModelsPush, "blob.missing");
    if (!caller) {
      return caller.error();
    }
    if (request->digests_size() > kMaxDigests) {
      return Error{Error::Code::kTooLarge, "ask for at most 65536 digests at a time"};
    }
    pb::MissingBlobsResponse out;
    for (const auto& raw : request->digests()) {
      const auto digest = Digest::from_bytes(as_bytes(raw));
      if (!digest) {
        return Error{Error::Code::kInvalidArgument, "digests: " + digest.error().message()};
      }
      if (!context_.blobs.has(*digest)) {
        out.add_digests(raw);
      }
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::StageManifest(grpc::CallbackServerContext* call,
                                                          const pb::StageManifestRequest* request,
                                                          pb::StageManifestResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::StageManifestResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    security::AuditObject object;
    object.manifest_digest = Digest::of(request->manifest()).to_string();
    const auto stage = [&] {
      return stage_manifest(context_.store,
                            context_.blobs,
                            context_.guard.tenant(),
                            request->manifest(),
                            context_.clock.wall_now().time_since_epoch().count());
    };
    const auto staged =
        context_.guard.act(*caller, Verb::kFleetModelsPush, "model.stage", object, stage);
    if (!staged) {
      return staged.error();
    }
    pb::StageManifestResponse out;
    out.set_target(staged->target);
    out.set_manifest_digest(staged->digest);
    out.set_length(static_cast<std::uint64_t>(staged->length));
    out.set_release_counter(static_cast<std::uint64_t>(staged->release_counter));
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::ListModels(grpc::CallbackServerContext* call,
                                                       const pb::ListFleetModelsRequest*,
                                                       pb::ListFleetModelsResponse* response) {
  const auto work = [this, call]() -> Result<pb::ListFleetModelsResponse> {
    const auto caller = reader(*call, Verb::kFleetModelsRead, "model.list");
    if (!caller) {
      return caller.error();
    }
    const auto manifests = context_.store.manifests(context_.guard.tenant());
    if (!manifests) {
      return manifests.error();
    }
    pb::ListFleetModelsResponse out;
    for (const auto& manifest : *manifests) {
      *out.add_models() = model_view(manifest);
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::GetTrustMetadata(
    grpc::CallbackServerContext* call,
    const pb::GetTrustMetadataRequest* request,
    pb::GetTrustMetadataResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::GetTrustMetadataResponse> {
    const auto caller = reader(*call, Verb::kFleetModelsRead, "trust.read");
    if (!caller) {
      return caller.error();
    }
    const auto directing = is_director(request->repository());
    if (!directing) {
      return directing.error();
    }
    auto files = *directing ? context_.director.roots(context_.guard.tenant())
                            : context_.trust.current(context_.guard.tenant());
    if (!files) {
      return files.error();
    }
    pb::GetTrustMetadataResponse out;
    for (auto& file : *files) {
      auto* named = out.add_metadata();
      named->set_name(std::move(file.name));
      named->set_content(std::move(file.content));
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::Publish(grpc::CallbackServerContext* call,
                                                    const pb::PublishRequest* request,
                                                    pb::PublishResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::PublishResponse> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto directing = is_director(request->repository());
    if (!directing) {
      return directing.error();
    }
    const auto publish = [&]() -> Result<PublishedVersions> {
      std::vector<NamedBytes> files;
      for (const auto& file : request->metadata()) {
        files.push_back({file.name(), file.content()});
      }
      if (!*directing) {
        return context_.trust.publish(context_.guard.tenant(), std::move(files));
      }
      PublishedVersions out;
      const auto root = context_.director.publish(context_.guard.tenant(), std::move(files));
      if (!root) {
        return root.error();
      }
      out.root = *root;
      return out;
    };
    const auto versions =
        context_.guard.act(*caller, Verb::kFleetModelsPublish, "trust.publish", {}, publish);
    if (!versions) {
      return versions.error();
    }
    if (*directing) {
      context_.gateway.push_desired(context_.gateway.connected_devices());
    } else {
      context_.gateway.announce_metadata();
    }
    pb::PublishResponse out;
    out.set_root_version(static_cast<std::uint64_t>(versions->root));
    out.set_targets_version(static_cast<std::uint64_t>(versions->targets));
    out.set_snapshot_version(static_cast<std::uint64_t>(versions->snapshot));
    out.set_timestamp_version(static_cast<std::uint64_t>(versions->timestamp));
    for (const auto& [role, version] : versions->delegated) {
      (*out.mutable_delegated_versions())[role] = static_cast<std::uint64_t>(version);
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::QueryTelemetry(grpc::CallbackServerContext* call,
                                                           const pb::QueryTelemetryRequest* request,
                                                           pb::QueryTelemetryResponse* response) {
  const auto work = [this, call, request]() -> Result<pb::QueryTelemetryResponse> {
    const auto caller = reader(*call, Verb::kFleetTelemetryRead, "telemetry.read");
    if (!caller) {
      return caller.error();
    }
    return telemetry_view(context_.store, *request);
  };
  return answer(context_, call, response, work);
}

grpc::ServerReadReactor<pb::PushBlobRequest>* FleetServiceImpl::PushBlob(
    grpc::CallbackServerContext* call, pb::PushBlobResponse* response) {
  return new BlobReceiver(context_, *call, *response);
}

grpc::ServerWriteReactor<pb::Rollout>* FleetServiceImpl::WatchRollout(
    grpc::CallbackServerContext* call, const pb::GetRolloutRequest* request) {
  return RolloutWatcher::start(context_, *call, request->rollout_id());
}

grpc::ServerWriteReactor<pb::ControllerAuditRecord>* FleetServiceImpl::TailAudit(
    grpc::CallbackServerContext* call, const pb::TailControllerAuditRequest* request) {
  return new AuditTail(context_, *call, *request);
}

}  // namespace skerry::controller
