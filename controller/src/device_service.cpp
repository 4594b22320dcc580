#include "device_service.hpp"

#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "blob_stream.hpp"
#include "device_connection.hpp"
#include "device_standing.hpp"

namespace skerry::controller {
namespace {

constexpr int kMaxHeld = 16;
constexpr std::uint32_t kDeltaRetryMs = 1000;

struct WantedRanges {
  std::shared_ptr<const MappedBlob> blob;
  std::vector<BlobRange> ranges;
  std::shared_ptr<TransferCut> cut;
};

Result<WantedRanges> open_blob(ServiceContext& context,
                               const grpc::ServerContextBase& call,
                               grpc::ByteBuffer raw) {
  const auto caller = context.guard.caller(call, security::SpiffeId::Kind::kDevice);
  if (!caller) {
    return caller.error();
  }
  auto cut = context.gateway.transfer_cut(caller->name);
  if (const auto device = device_of(context, call); !device) {
    return device.error();
  }
  fleet::v1::GetBlobRequest request;
  if (!grpc::SerializationTraits<fleet::v1::GetBlobRequest>::Deserialize(&raw, &request).ok()) {
    return Error{Error::Code::kInvalidArgument, "the request is not a GetBlobRequest"};
  }
  const auto digest = Digest::from_bytes(as_bytes(request.digest()));
  if (!digest) {
    return Error{Error::Code::kInvalidArgument, "digest: " + digest.error().message()};
  }
  auto blob = context.blobs.map(*digest);
  if (!blob) {
    if (auto delta = context.deltas.vault().map(*digest); delta) {
      blob = std::move(delta);
    }
  }
  if (!blob) {
    return blob.error();
  }
  auto ranges = plan_ranges(request, (*blob)->bytes().size());
  if (!ranges) {
    return ranges.error();
  }
  return WantedRanges{std::move(*blob), std::move(*ranges), std::move(cut)};
}

security::AuditEvent renewal_event(const Caller& caller, const Error* error) {
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kAuthentication;
  event.action = "device.renew";
  event.actor = caller.principal;
  event.authn_method = "mtls";
  event.outcome =
      error == nullptr ? security::AuditOutcome::kSuccess : security::AuditOutcome::kDenied;
  event.reason = error == nullptr ? "" : error->to_string();
  event.details = Json::Object{{"device", caller.name}, {"certificate", caller.certificate}};
  return event;
}

}  // namespace

Result<DeviceCaller> identify_device(ServiceContext& context, const grpc::ServerContextBase& call) {
  auto caller = context.guard.caller(call, security::SpiffeId::Kind::kDevice);
  if (!caller) {
    return caller.error();
  }
  auto device = context.store.find_device(caller->name);
  if (!device) {
    return device.error();
  }
  if (!*device) {
    return Error{Error::Code::kNotEnrolled,
                 caller->name + " is not enrolled at this controller: enrol it again"};
  }
  if ((**device).revoked) {
    const auto life = context.store.life(caller->name);
    return Error{Error::Code::kPermissionDenied,
                 caller->name + " is " +
                     (life ? std::string{standing_of(*life).word} : std::string{"revoked"}) +
                     ": an operator can reinstate it (skerry fleet reinstate)"};
  }
  return DeviceCaller{std::move(**device), std::move(*caller)};
}

Result<DeviceRecord> device_of(ServiceContext& context, const grpc::ServerContextBase& call) {
  auto identified = identify_device(context, call);
  if (!identified) {
    return identified.error();
  }
  return std::move(identified->device);
}

grpc::ServerUnaryReactor* DeviceServiceImpl::Renew(grpc::CallbackServerContext* call,
                                                   const fleet::v1::RenewRequest* request,
                                                   fleet::v1::RenewResponse* response) {
  return answer(context_, call, response, [this, call, request] { return renew(*call, *request); });
}

Result<fleet::v1::RenewResponse> DeviceServiceImpl::renew(const grpc::ServerContextBase& call,
                                                          const fleet::v1::RenewRequest& request) {
  const auto caller =
      context_.guard.caller(call, security::SpiffeId::Kind::kDevice, Authorities::Use::kRenewal);
  if (!caller) {
    return caller.error();
  }
  auto renewed = context_.enrolment.renew(caller->name, caller->issued, request.csr_der());
  context_.guard.record(renewal_event(*caller, renewed ? nullptr : &renewed.error()));
  if (!renewed) {
    context_.log.warning("device.renewal_refused", renewed.error().with_context(caller->name));
    return renewed.error();
  }
  context_.log.info("device.renewed", {{"device", caller->name}});
  fleet::v1::RenewResponse response;
  response.set_certificate_chain_pem(std::move(renewed->certificate_chain_pem));
  response.mutable_trust()->set_anchors_pem(std::move(renewed->trust_bundle_pem));
  response.mutable_trust()->set_cross_certificates_pem(std::move(renewed->cross_pem));
  return response;
}

DirectedDevice directed_device(const DeviceRecord& device) {
  fleet::v1::DeviceInfo info;
  // What an old store holds may not parse: then nothing is known of the machine.
  const bool known = info.ParseFromString(device.info);
  return {device.device_id, device.tenant_id, known ? info.machine() : std::string{}};
}

grpc::ServerBidiReactor<fleet::v1::DeviceMessage, fleet::v1::ControllerMessage>*
DeviceServiceImpl::Connect(grpc::CallbackServerContext* call) {
  return DeviceConnection::start(context_, *call);
}

grpc::ServerUnaryReactor* DeviceServiceImpl::GetMetadata(
    grpc::CallbackServerContext* call,
    const fleet::v1::GetMetadataRequest* request,
    fleet::v1::GetMetadataResponse* response) {
  const auto work = [this, call, request]() -> Result<fleet::v1::GetMetadataResponse> {
    const auto device = device_of(context_, *call);
    if (!device) {
      return device.error();
    }
    auto content =
        request->repository() == Director::kRepository
            ? context_.director.read(directed_device(*device), request->name())
            : context_.trust.read(device->tenant_id, request->repository(), request->name());
    if (!content) {
      return content.error();
    }
    fleet::v1::GetMetadataResponse out;
    out.set_content(std::move(*content));
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* DeviceServiceImpl::FindDelta(grpc::CallbackServerContext* call,
                                                       const fleet::v1::FindDeltaRequest* request,
                                                       fleet::v1::FindDeltaResponse* response) {
  const auto work = [this, call, request]() -> Result<fleet::v1::FindDeltaResponse> {
    const auto device = device_of(context_, *call);
    if (!device) {
      return device.error();
    }
    const auto target = Digest::from_bytes(as_bytes(request->target()));
    if (!target || request->held_size() > kMaxHeld) {
      return Error{Error::Code::kInvalidArgument,
                   "a target of 32 bytes and at most 16 held digests are expected"};
    }
    std::vector<Digest> held;
    for (const auto& raw : request->held()) {
      const auto digest = Digest::from_bytes(as_bytes(raw));
      if (!digest) {
        return Error{Error::Code::kInvalidArgument, "held: " + digest.error().message()};
      }
      held.push_back(*digest);
    }
    const DeltaAnswer found = context_.deltas.find(*target, held);
    fleet::v1::FindDeltaResponse out;
    switch (found.state) {
      case DeltaAnswer::State::kNone:
        out.set_state(fleet::v1::FindDeltaResponse::STATE_NONE);
        break;
      case DeltaAnswer::State::kPending:
        out.set_state(fleet::v1::FindDeltaResponse::STATE_PENDING);
        out.set_retry_after_ms(kDeltaRetryMs);
        break;
      case DeltaAnswer::State::kReady:
        out.set_state(fleet::v1::FindDeltaResponse::STATE_READY);
        out.set_base(found.kept.base.raw());
        out.set_delta(found.kept.delta.raw());
        out.set_size(found.kept.size);
        out.set_chunk_size(found.kept.chunk_size);
        out.set_chunks(found.kept.chunks.raw());
        break;
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* DeviceServiceImpl::GetBlob(
    grpc::CallbackServerContext* call, const grpc::ByteBuffer* request) {
  auto* writer = new BlobWriter(
      *call, context_.pool, static_cast<std::size_t>(context_.settings.blobs().message_size));
  boost::asio::post(context_.pool, [this, call, writer, raw = *request] {
    auto wanted = open_blob(context_, *call, raw);
    if (wanted) {
      writer->begin(std::move(wanted->blob), std::move(wanted->ranges), std::move(wanted->cut));
    } else {
      writer->refuse(to_status(wanted.error()));
    }
  });
  return writer;
}

}  // namespace skerry::controller
