// Asks one model of a gRPC socket and exits with the status code: what a second user's app sees.
#include <chrono>
#include <iostream>
#include <string>

#include <grpcpp/create_channel.h>

#include "skerry/models/v1/models.grpc.pb.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    return 100;
  }
  auto channel =
      grpc::CreateChannel("unix:" + std::string{argv[1]}, grpc::InsecureChannelCredentials());
  auto stub = skerry::models::v1::ModelService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{20});
  skerry::models::v1::GetModelRequest request;
  request.set_model(argv[2]);
  skerry::models::v1::Model model;
  const grpc::Status status = stub->GetModel(&context, request, &model);
  std::cerr << status.error_message() << '\n';
  return status.error_code();
}
