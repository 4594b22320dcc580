#include "device_service.hpp"

#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "blob_stream.hpp"
#include "device_connection.hpp"

namespace skerry::controller {
namespace {

struct WantedRanges {
  std::shared_ptr<const MappedBlob> blob;
  std::vector<BlobRange> ranges;
};

Result<WantedRanges> open_blob(ServiceContext& context,
                               const grpc::ServerContextBase& call,
                               grpc::ByteBuffer raw) {
  const auto device = device_of(context, call);
  if (!device) {
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
    return blob.error();
  }
  auto ranges = plan_ranges(request, (*blob)->bytes().size());
  if (!ranges) {
    return ranges.error();
  }
  return WantedRanges{std::move(*blob), std::move(*ranges)};
}

}  // namespace

Result<DeviceRecord> device_of(ServiceContext& context, const grpc::ServerContextBase& call) {
  const auto caller = context.guard.caller(call, security::SpiffeId::Kind::kDevice);
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
    return Error{Error::Code::kPermissionDenied, caller->name + " was revoked by an operator"};
  }
  return std::move(**device);
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

grpc::ServerWriteReactor<grpc::ByteBuffer>* DeviceServiceImpl::GetBlob(
    grpc::CallbackServerContext* call, const grpc::ByteBuffer* request) {
  auto* writer = new BlobWriter(static_cast<std::size_t>(context_.settings.blobs().message_size));
  boost::asio::post(context_.pool, [this, call, writer, raw = *request] {
    auto wanted = open_blob(context_, *call, raw);
    if (wanted) {
      writer->begin(std::move(wanted->blob), std::move(wanted->ranges));
    } else {
      writer->refuse(to_status(wanted.error()));
    }
  });
  return writer;
}

}  // namespace skerry::controller
