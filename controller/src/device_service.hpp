#pragma once

// DeviceService: the control channel, trust metadata and blobs for enrolled devices.

#include "skerry/fleet/v1/device.grpc.pb.h"

#include "service_context.hpp"

namespace skerry::controller {

using DeviceServiceBase = fleet::v1::DeviceService::WithCallbackMethod_Connect<
    fleet::v1::DeviceService::WithCallbackMethod_GetMetadata<
        fleet::v1::DeviceService::WithCallbackMethod_FindDelta<
            fleet::v1::DeviceService::WithCallbackMethod_Renew<
                fleet::v1::DeviceService::WithRawCallbackMethod_GetBlob<
                    fleet::v1::DeviceService::Service>>>>>;

class DeviceServiceImpl final : public DeviceServiceBase {
 public:
  explicit DeviceServiceImpl(ServiceContext& context) : context_(context) {}

  grpc::ServerBidiReactor<fleet::v1::DeviceMessage, fleet::v1::ControllerMessage>* Connect(
      grpc::CallbackServerContext* call) override;
  grpc::ServerUnaryReactor* GetMetadata(grpc::CallbackServerContext* call,
                                        const fleet::v1::GetMetadataRequest* request,
                                        fleet::v1::GetMetadataResponse* response) override;
  grpc::ServerUnaryReactor* FindDelta(grpc::CallbackServerContext* call,
                                      const fleet::v1::FindDeltaRequest* request,
                                      fleet::v1::FindDeltaResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* call,
                                  const fleet::v1::RenewRequest* request,
                                  fleet::v1::RenewResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* GetBlob(grpc::CallbackServerContext* call,
                                                      const grpc::ByteBuffer* request) override;

 private:
  Result<fleet::v1::RenewResponse> renew(const grpc::ServerContextBase& call,
                                         const fleet::v1::RenewRequest& request);

  ServiceContext& context_;
};

}  // namespace skerry::controller
