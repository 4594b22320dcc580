#include "controller_channel.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/sync_stream.h>

#include "skerry/agent/blob_frame.hpp"
#include "skerry/security/certificate.hpp"

#include "../grpc/status.hpp"

namespace skerry::agent::sync {
namespace {

constexpr int kMaxMessage = 17 << 20;
constexpr std::chrono::seconds kMetadataDeadline{30};
// Slowest transfer that is still waited for; a dead peer is noticed by keep-alive.
constexpr std::uint64_t kSlowestRate = 16U << 10U;
constexpr std::chrono::seconds kTransferSlack{60};

grpc::ChannelArguments arguments(const ControllerConfig& controller) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMaxMessage);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20);
  args.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20);
  // The reconnect pace is ours (full jitter); gRPC's own stays below it.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  if (!controller.server_name.empty()) {
    args.SetSslTargetNameOverride(controller.server_name);
  }
  return args;
}

// The next certificate of a PEM text; empty when there are no more.
std::string take_certificate(std::string_view& pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const std::size_t begin = pem.find("-----BEGIN CERTIFICATE-----");
  const std::size_t end = pem.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return {};
  }
  std::string one{pem.substr(begin, end + kEnd.size() - begin)};
  pem.remove_prefix(end + kEnd.size());
  return one;
}

// Accepts a server in whose chain some certificate has the pinned key.
class PinVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit PinVerifier(Digest pin) : pin_(pin) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    std::string chain{request->peer_cert_full_chain().data(),
                      request->peer_cert_full_chain().size()};
    chain.append(request->peer_cert().data(), request->peer_cert().size());
    std::string_view rest = chain;
    for (std::string one = take_certificate(rest); !one.empty(); one = take_certificate(rest)) {
      Result<security::Certificate> certificate = security::Certificate::from_pem(one);
      if (certificate && certificate->spki_digest() == pin_) {
        *sync_status = grpc::Status::OK;
        return true;
      }
    }
    *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                                "no certificate of the controller has the key of "
                                "controller.spki_pin");
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  Digest pin_;
};

}  // namespace

std::shared_ptr<grpc::Channel> make_device_channel(const ControllerConfig& controller,
                                                   const DeviceIdentity& identity,
                                                   const std::string& key_pem,
                                                   std::shared_ptr<const ServerTrust> trust) {
  namespace tls = grpc::experimental;
  tls::TlsChannelCredentialsOptions options;
  const std::vector<tls::IdentityKeyCertPair> own{{key_pem, identity.certificate_chain_pem}};
  options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(own));
  options.watch_identity_key_cert_pairs();
  // The chain is the verifier's, the host name stays gRPC's.
  options.set_verify_server_certs(false);
  options.set_check_call_host(true);
  options.set_certificate_verifier(make_server_verifier(std::move(trust)));
  return grpc::CreateCustomChannel(
      controller.address, tls::TlsCredentials(options), arguments(controller));
}

Result<std::shared_ptr<grpc::Channel>> make_enrolment_channel(const ControllerConfig& controller,
                                                              const std::string& ca_pem) {
  if (!ca_pem.empty()) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ca_pem;
    return grpc::CreateCustomChannel(
        controller.address, grpc::SslCredentials(options), arguments(controller));
  }
  Result<Digest> pin = Digest::parse(controller.spki_pin);
  if (!pin) {
    return pin.error().with_context("controller.spki_pin");
  }
  using grpc::experimental::ExternalCertificateVerifier;
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<PinVerifier>(*pin));
  return grpc::CreateCustomChannel(
      controller.address, grpc::experimental::TlsCredentials(options), arguments(controller));
}

class ControllerSource::Call {
 public:
  explicit Call(ControllerSource& owner) : owner_(owner) {
    const std::lock_guard lock{owner_.mutex_};
    refused_ = owner_.aborted_;
    owner_.running_.insert(&context_);
  }
  ~Call() {
    const std::lock_guard lock{owner_.mutex_};
    owner_.running_.erase(&context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  [[nodiscard]] bool refused() const { return refused_; }
  grpc::ClientContext& context() { return context_; }

 private:
  ControllerSource& owner_;
  grpc::ClientContext context_;
  bool refused_ = false;
};

ControllerSource::ControllerSource(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)), stub_(fleet::v1::DeviceService::NewStub(channel_)) {}

void ControllerSource::abort() {
  const std::lock_guard lock{mutex_};
  aborted_ = true;
  for (grpc::ClientContext* context : running_) {
    context->TryCancel();
  }
}

Result<std::string> ControllerSource::fetch(std::string_view name, std::size_t limit) {
  Call call{*this};
  if (call.refused()) {
    return Error{Error::Code::kCancelled, "the connection was closed"};
  }
  call.context().set_deadline(std::chrono::system_clock::now() + kMetadataDeadline);
  fleet::v1::GetMetadataRequest request;
  request.set_repository("image");
  request.set_name(std::string{name});
  fleet::v1::GetMetadataResponse response;
  const grpc::Status status = stub_->GetMetadata(&call.context(), request, &response);
  if (!status.ok()) {
    return from_status(status).with_context(name);
  }
  if (response.content().size() > limit) {
    return Error{Error::Code::kTooLarge,
                 std::string{name} + " has more than " + std::to_string(limit) + " bytes"};
  }
  return std::move(*response.mutable_content());
}

Result<DeltaOffer> ControllerSource::find_delta(const Digest& target,
                                                std::span<const Digest> held) {
  Call call{*this};
  if (call.refused()) {
    return Error{Error::Code::kCancelled, "the connection was closed"};
  }
  call.context().set_deadline(std::chrono::system_clock::now() + kMetadataDeadline);
  fleet::v1::FindDeltaRequest request;
  request.set_target(target.raw());
  for (const Digest& digest : held) {
    request.add_held(digest.raw());
  }
  fleet::v1::FindDeltaResponse response;
  const grpc::Status status = stub_->FindDelta(&call.context(), request, &response);
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return DeltaOffer{};  // a controller of an earlier version
  }
  if (!status.ok()) {
    return from_status(status).with_context("asking for a delta");
  }
  DeltaOffer offer;
  if (response.state() == fleet::v1::FindDeltaResponse::STATE_PENDING) {
    offer.state = DeltaOffer::State::kPending;
    offer.retry_after = std::chrono::milliseconds{response.retry_after_ms()};
  }
  if (response.state() != fleet::v1::FindDeltaResponse::STATE_READY) {
    return offer;
  }
  const auto base = Digest::from_bytes(as_bytes(response.base()));
  const auto delta = Digest::from_bytes(as_bytes(response.delta()));
  const auto chunks = Digest::from_bytes(as_bytes(response.chunks()));
  if (!base || !delta || !chunks ||
      !registry::check_chunking(response.size(), response.chunk_size())) {
    return Error{Error::Code::kParse, "the controller offered a delta without a digest or size"};
  }
  offer.state = DeltaOffer::State::kReady;
  offer.base = *base;
  offer.delta = {*delta, response.size(), response.chunk_size(), *chunks};
  return offer;
}

Result<void> ControllerSource::read(const registry::BlobRange& range,
                                    registry::ByteSink& sink,
                                    const registry::CancelFlag& cancel) {
  Call call{*this};
  if (call.refused() || cancel.cancelled()) {
    return Error{Error::Code::kCancelled, "the fetch was cancelled"};
  }
  call.context().set_deadline(std::chrono::system_clock::now() + kTransferSlack +
                              std::chrono::seconds{range.length / kSlowestRate});
  fleet::v1::GetBlobRequest request;
  request.set_digest(range.digest.raw());
  auto& wanted = *request.add_ranges();
  wanted.set_offset(range.offset);
  wanted.set_length(range.length);

  // The generated stub would copy each payload into a string; the wire messages are read instead.
  const grpc::internal::RpcMethod method("/skerry.fleet.v1.DeviceService/GetBlob",
                                         grpc::internal::RpcMethod::SERVER_STREAMING);
  const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader{
      grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
          channel_.get(), method, &call.context(), request)};
  std::uint64_t done = 0;
  Result<void> outcome;
  grpc::ByteBuffer message;
  while (outcome && reader->Read(&message)) {
    std::vector<grpc::Slice> slices;
    if (!message.Dump(&slices).ok()) {
      outcome = Error{Error::Code::kInternal, "a blob message without bytes"};
      break;
    }
    std::vector<ByteView> pieces;
    pieces.reserve(slices.size());
    for (const grpc::Slice& slice : slices) {
      pieces.emplace_back(slice.begin(), slice.size());
    }
    Result<BlobFrame> frame = parse_blob_frame(pieces);
    if (!frame) {
      outcome = frame.error();
      break;
    }
    if (frame->offset != range.offset + done || done + frame->size() > range.length) {
      outcome = Error{Error::Code::kParse, "the controller sent other bytes than were asked for"};
      break;
    }
    for (const ByteView piece : frame->data) {
      outcome = sink.write(piece);
      if (!outcome) {
        break;
      }
    }
    done += frame->size();
    if (cancel.cancelled()) {
      outcome = Error{Error::Code::kCancelled, "the fetch was cancelled"};
    }
  }
  if (!outcome) {
    call.context().TryCancel();
    // The call has to be drained; why it failed is known already.
    while (reader->Read(&message)) {
    }
    static_cast<void>(reader->Finish());
    return outcome;
  }
  if (const grpc::Status status = reader->Finish(); !status.ok()) {
    return from_status(status).with_context(range.digest.to_string());
  }
  if (done != range.length) {
    return Error{Error::Code::kUnavailable,
                 "the stream ended after " + std::to_string(done) + " of " +
                     std::to_string(range.length) + " bytes"};
  }
  return {};
}

}  // namespace skerry::agent::sync
