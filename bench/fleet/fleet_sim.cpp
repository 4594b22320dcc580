#include "fleet_sim.hpp"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "skerry/common/bytes.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/security/certificate.hpp"
#include "skerry/security/tuf/repository.hpp"

namespace skerry::sim {
namespace {

namespace pb = fleet::v1;

constexpr std::chrono::seconds kDeadline{30};

void set_deadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
}

Json role(const security::PublicKey& key) {
  return Json::Object{{"keyids", Json::Array{key.key_id()}}, {"threshold", 1}};
}

Result<std::string> sign(Json::Object part, const security::Signer& key) {
  part["spec_version"] = "1.0.34";
  part["expires"] = to_rfc3339(SystemClock{}.wall_now() + std::chrono::hours{24});
  const Json envelope = Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(part)}};
  return security::tuf::sign_metadata(envelope.dump(), key);
}

// The base64 between the PEM lines, decoded.
Result<std::string> der_of(const std::string& pem) {
  std::string body;
  for (std::size_t at = 0; at < pem.size();) {
    const auto end = std::min(pem.find('\n', at), pem.size());
    const auto line = pem.substr(at, end - at);
    if (!line.starts_with("-----")) {
      body += line;
    }
    at = end + 1;
  }
  const auto bytes = from_base64(body);
  if (!bytes) {
    return bytes.error();
  }
  return std::string{as_text(*bytes)};
}

}  // namespace

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<void> check(const grpc::Status& status, std::string_view call) {
  if (status.ok()) {
    return {};
  }
  return Error{Error::Code::kUnavailable, std::string{call} + ": " + status.error_message()};
}

std::shared_ptr<grpc::Channel> connect_tls(const std::string& address,
                                           const std::string& ca_pem,
                                           const std::string& certificate_pem,
                                           const std::string& key_pem) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca_pem;
  options.pem_cert_chain = certificate_pem;
  options.pem_private_key = key_pem;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 8 << 20);
  arguments.SetMaxReceiveMessageSize(8 << 20);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
}

SimOperator::SimOperator(const std::string& address, const std::filesystem::path& bundle)
    : address_(address), ca_pem_(read_text(bundle / "ca.crt")) {
  stub_ = pb::FleetService::NewStub(connect_tls(
      address, ca_pem_, read_text(bundle / "operator.crt"), read_text(bundle / "operator.key")));
  root_key_ = std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
  targets_key_ = std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
}

Result<std::string> SimOperator::token() {
  grpc::ClientContext context;
  set_deadline(context);
  pb::CreateEnrolmentTokenResponse response;
  if (auto called = check(stub_->CreateEnrolmentToken(&context, {}, &response), "create token");
      !called) {
    return called.error();
  }
  return response.token();
}

Result<pb::PushBlobResponse> SimOperator::push_blob(const std::string& digest,
                                                    const std::string& content,
                                                    std::size_t piece) {
  grpc::ClientContext context;
  set_deadline(context);
  pb::PushBlobResponse response;
  const auto writer = stub_->PushBlob(&context, &response);
  pb::PushBlobRequest message;
  message.mutable_header()->set_digest(digest);
  message.mutable_header()->set_size(content.size());
  bool open = writer->Write(message);
  for (std::size_t at = 0; open && at < content.size(); at += piece) {
    message.set_data(content.substr(at, piece));
    open = writer->Write(message);
  }
  writer->WritesDone();
  if (auto called = check(writer->Finish(), "push blob"); !called) {
    return called.error();
  }
  return response;
}

Result<std::string> SimOperator::sign_root() {
  grpc::ClientContext context;
  set_deadline(context);
  pb::GetControllerResponse controller;
  if (auto called = check(stub_->GetController(&context, {}, &controller), "get controller");
      !called) {
    return called.error();
  }
  const auto online = security::PublicKey::from_text(controller.online_keys(0));
  if (!online) {
    return online.error();
  }
  Json::Object keys;
  for (const auto* key : {&root_key_->public_key(), &targets_key_->public_key(), &*online}) {
    keys[key->key_id()] = key->to_tuf_json();
  }
  root_version_ = 1;
  Json::Object part{{"_type", "root"},
                    {"consistent_snapshot", true},
                    {"version", root_version_},
                    {"keys", std::move(keys)},
                    {"roles",
                     Json::Object{{"root", role(root_key_->public_key())},
                                  {"targets", role(targets_key_->public_key())},
                                  {"snapshot", role(*online)},
                                  {"timestamp", role(*online)}}}};
  return sign(std::move(part), *root_key_);
}

Result<void> SimOperator::publish_director() {
  grpc::ClientContext asking;
  set_deadline(asking);
  pb::GetControllerResponse controller;
  if (auto called = check(stub_->GetController(&asking, {}, &controller), "get controller");
      !called) {
    return called;
  }
  const auto director = security::PublicKey::from_text(controller.director_key());
  if (!director) {
    return director.error();
  }
  Json::Object keys;
  for (const auto* key : {&root_key_->public_key(), &*director}) {
    keys[key->key_id()] = key->to_tuf_json();
  }
  Json::Object part{{"_type", "root"},
                    {"consistent_snapshot", true},
                    {"version", 1},
                    {"keys", std::move(keys)},
                    {"roles",
                     Json::Object{{"root", role(root_key_->public_key())},
                                  {"targets", role(*director)},
                                  {"snapshot", role(*director)},
                                  {"timestamp", role(*director)}}}};
  const auto root = sign(std::move(part), *root_key_);
  if (!root) {
    return root.error();
  }
  director_root_ = *root;
  pb::PublishRequest request;
  request.set_repository("director");
  auto* file = request.add_metadata();
  file->set_name("1.root.json");
  file->set_content(*root);
  grpc::ClientContext context;
  set_deadline(context);
  pb::PublishResponse response;
  return check(stub_->Publish(&context, request, &response), "publish the director");
}

Result<std::string> SimOperator::sign_targets(const security::Signer& key) {
  Json::Object targets;
  for (const auto& entry : targets_) {
    targets[entry.target] = Json::Object{
        {"length", entry.length},
        {"hashes", Json::Object{{"sha256", entry.digest_hex}}},
        {"custom", Json::Object{{"type", "model-manifest"}, {"release_counter", entry.counter}}}};
  }
  Json::Object part{
      {"_type", "targets"}, {"version", targets_version_ + 1}, {"targets", std::move(targets)}};
  return sign(std::move(part), key);
}

Result<pb::PublishResponse> SimOperator::publish() {
  pb::PublishRequest request;
  request.set_repository("image");
  if (root_version_ == 0) {
    const auto root = sign_root();
    if (!root) {
      return root.error();
    }
    auto* file = request.add_metadata();
    file->set_name("1.root.json");
    file->set_content(*root);
  }
  const auto targets = sign_targets(*targets_key_);
  if (!targets) {
    return targets.error();
  }
  auto* file = request.add_metadata();
  file->set_name(std::to_string(targets_version_ + 1) + ".targets.json");
  file->set_content(*targets);
  grpc::ClientContext context;
  set_deadline(context);
  pb::PublishResponse response;
  if (auto called = check(stub_->Publish(&context, request, &response), "publish"); !called) {
    return called.error();
  }
  ++targets_version_;
  return response;
}

Result<PublishedModel> SimOperator::publish_model(const std::string& name,
                                                  const std::string& version,
                                                  const std::string& weights) {
  PublishedModel out;
  const Digest digest = Digest::of(weights);
  out.blob = digest.raw();
  if (auto pushed = push_blob(out.blob, weights); !pushed) {
    return pushed.error();
  }
  registry::Manifest manifest;
  const auto model = registry::ModelName::parse("acme/" + name);
  const auto parsed = registry::SemanticVersion::parse(version);
  if (!model || !parsed) {
    return model ? parsed.error() : model.error();
  }
  manifest.model = *model;
  manifest.version = *parsed;
  manifest.release_counter = targets_.size() + 1;
  registry::ManifestFile file;
  file.name = "weights.bin";
  file.digest = digest;
  file.size = weights.size();
  file.chunk_size = registry::kMaxChunkSize;
  const auto index = registry::ChunkIndex::of_single_chunk(digest, file.size, file.chunk_size);
  if (!index) {
    return index.error();
  }
  file.chunks = index->digest();
  registry::Variant variant;
  variant.name = "f16";
  variant.format = "gguf";
  variant.needs.runtime = "null";
  variant.files.push_back(file);
  manifest.variants.push_back(variant);
  const auto bytes = manifest.serialise();
  if (!bytes) {
    return bytes.error();
  }
  grpc::ClientContext context;
  set_deadline(context);
  pb::StageManifestRequest request;
  request.set_manifest(*bytes);
  pb::StageManifestResponse staged;
  if (auto called = check(stub_->StageManifest(&context, request, &staged), "stage"); !called) {
    return called.error();
  }
  out.target = staged.target();
  out.manifest_digest = staged.manifest_digest();
  targets_.push_back({staged.target(),
                      Digest::of(*bytes).hex(),
                      static_cast<std::int64_t>(staged.length()),
                      static_cast<std::int64_t>(staged.release_counter())});
  if (auto published = publish(); !published) {
    return published.error();
  }
  return out;
}

Result<pb::Rollout> SimOperator::roll_out(const PublishedModel& model, std::uint32_t canary) {
  grpc::ClientContext context;
  set_deadline(context);
  pb::CreateRolloutRequest request;
  request.set_target(model.target);
  request.set_slot("default");
  request.mutable_policy()->set_canary_devices(canary);
  request.mutable_policy()->set_max_failures(1);
  pb::Rollout rollout;
  if (auto called = check(stub_->CreateRollout(&context, request, &rollout), "create rollout");
      !called) {
    return called.error();
  }
  return rollout;
}

Result<std::unique_ptr<SimDevice>> SimDevice::enrol(const std::string& address,
                                                    const std::string& ca_pem,
                                                    const std::string& token) {
  // gRPC wants the key as PEM, so it passes through a file of its own for a moment.
  static std::atomic<int> serial{0};
  SystemFileSystem fs;
  const auto path =
      std::filesystem::temp_directory_path() /
      ("skerry-sim-" + std::to_string(::getpid()) + "-" + std::to_string(++serial) + ".pem");
  const auto uri = security::KeyUri::parse("file:" + path.string());
  if (!uri) {
    return uri.error();
  }
  const auto key = security::create_key(fs, *uri, security::KeyAlgorithm::kEcdsaP256);
  if (!key) {
    return key.error();
  }
  const auto key_pem = security::private_key_pem(fs, *uri);
  std::filesystem::remove(path);
  if (!key_pem) {
    return key_pem.error();
  }
  security::CertificateNames names;
  names.common_name = "sim";
  const auto csr = security::make_certificate_request(**key, names);
  if (!csr) {
    return csr.error();
  }
  const auto der = der_of(*csr);
  if (!der) {
    return der.error();
  }
  pb::EnrollRequest request;
  request.set_token(token);
  request.set_csr_der(*der);
  request.mutable_info()->set_hostname("sim-" + std::to_string(serial));
  const auto stub = pb::EnrolmentService::NewStub(connect_tls(address, ca_pem, "", ""));
  grpc::ClientContext context;
  set_deadline(context);
  pb::EnrollResponse response;
  if (const auto status = stub->Enroll(&context, request, &response); !status.ok()) {
    return Error{Error::Code::kEnrolmentRefused, status.error_message()};
  }
  std::unique_ptr<SimDevice> device{new SimDevice};
  device->id_ = response.device_id();
  device->credentials_ = {response.trust_bundle_pem(), response.certificate_chain_pem(), *key_pem};
  device->channel_ = connect_tls(
      address, device->credentials_.ca, device->credentials_.certificate, device->credentials_.key);
  device->stub_ = pb::DeviceService::NewStub(device->channel_);
  return device;
}

SimDevice::~SimDevice() {
  close(true);
}

void SimDevice::connect(Handler handler, std::optional<pb::Hello> hello) {
  {
    const std::lock_guard lock{mutex_};
    context_ = std::make_unique<grpc::ClientContext>();
    handler_ = std::move(handler);
    outgoing_.clear();
    open_ = true;
    closing_ = false;
  }
  stub_->async()->Connect(context_.get(), this);
  AddHold();
  StartRead(&incoming_);
  StartCall();
  pb::DeviceMessage first;
  if (hello) {
    *first.mutable_hello() = std::move(*hello);
  } else {
    first.mutable_hello()->set_protocol_version(1);
    first.mutable_hello()->set_min_protocol_version(1);
    first.mutable_hello()->add_capabilities("director");
  }
  send(std::move(first));
}

void SimDevice::send(pb::DeviceMessage message) {
  const std::lock_guard lock{mutex_};
  if (closing_ || !open_) {
    return;
  }
  outgoing_.push_back(std::move(message));
  if (outgoing_.size() == 1) {
    StartWrite(&outgoing_.front());
  }
}

grpc::Status SimDevice::close(bool cancel) {
  std::unique_lock lock{mutex_};
  if (!open_) {
    return status_;
  }
  if (!closing_) {
    closing_ = true;
    if (cancel) {
      context_->TryCancel();
    } else {
      changed_.wait(lock, [this] { return outgoing_.empty(); });
      StartWritesDone();
    }
    RemoveHold();
  }
  changed_.wait(lock, [this] { return !open_; });
  return status_;
}

grpc::Status SimDevice::wait_closed() {
  std::unique_lock lock{mutex_};
  if (open_ && !closing_) {
    closing_ = true;
    RemoveHold();
  }
  changed_.wait(lock, [this] { return !open_; });
  return status_;
}

void SimDevice::OnReadDone(bool ok) {
  if (!ok) {
    return;
  }
  handler_(*this, incoming_);
  StartRead(&incoming_);
}

void SimDevice::OnWriteDone(bool ok) {
  const std::lock_guard lock{mutex_};
  outgoing_.pop_front();
  if (!ok) {
    outgoing_.clear();
  }
  if (!outgoing_.empty()) {
    StartWrite(&outgoing_.front());
  }
  changed_.notify_all();
}

void SimDevice::OnDone(const grpc::Status& status) {
  const std::lock_guard lock{mutex_};
  status_ = status;
  open_ = false;
  changed_.notify_all();
}

}  // namespace skerry::sim
