// The installer's side of what the `security` role signs: finding and fetching its targets after a
// refresh, and asking for leave before an activation.

#include <algorithm>
#include <utility>

#include "skerry/agent/installer.hpp"

namespace skerry::agent {
namespace {

// Collects a small document in memory.
class DocumentSink final : public registry::ByteSink {
 public:
  explicit DocumentSink(std::size_t limit) : limit_(limit) {}
  Result<void> write(ByteView bytes) override {
    if (text_.size() + bytes.size() > limit_) {
      return Error{Error::Code::kTooLarge, "more bytes than the signed length"};
    }
    text_.append(as_text(bytes));
    return {};
  }
  [[nodiscard]] std::string& text() { return text_; }

 private:
  std::size_t limit_;
  std::string text_;
};

}  // namespace

class Installer::Reader final : public TargetReader {
 public:
  Reader(Installer& installer, ModelSource& source) : installer_(installer), source_(source) {}

  Result<security::tuf::FoundTarget> find(std::string_view path) override {
    const std::lock_guard lock{installer_.trust_};
    security::tuf::Client client{*installer_.metadata_, source_.metadata()};
    if (Result<void> loaded = client.load(installer_.time_.now()); !loaded) {
      return loaded.error();
    }
    return client.lookup(path);
  }

  Result<std::string> read(const security::tuf::FoundTarget& target, std::size_t limit) override {
    Result<Digest> digest = target.file.sha256();
    if (!digest) {
      return digest.error();
    }
    if (target.file.length > limit) {
      return Error{Error::Code::kTooLarge,
                   "the signed length is " + std::to_string(target.file.length) + ", at most " +
                       std::to_string(limit) + " bytes are accepted"};
    }
    DocumentSink sink{static_cast<std::size_t>(target.file.length)};
    const registry::CancelFlag never;
    const registry::BlobRange range{*digest, 0, target.file.length};
    if (Result<void> done = source_.blobs().read(range, sink, never); !done) {
      return done.error();
    }
    if (Result<void> checked = target.file.check(sink.text()); !checked) {
      return checked.error().with_context(source_.name());
    }
    return std::move(sink.text());
  }

 private:
  Installer& installer_;
  ModelSource& source_;
};

Result<security::tuf::RefreshOutcome> Installer::refresh_trust(ModelSource& source) {
  Result<security::tuf::RefreshOutcome> outcome = refresh_metadata(source);
  if (outcome && security_ != nullptr) {
    Reader reader{*this, source};
    security_->refresh(reader);
  }
  return outcome;
}

Result<void> Installer::permit(registry::ActivationRequest& request) {
  if (security_ == nullptr) {
    return {};
  }
  Result<registry::VerifiedManifest> manifest = catalogue_.manifest(request.manifest);
  if (!manifest) {
    return manifest.error();
  }
  const std::uint64_t use = SecurityTargets::use_of(request.slot.str(), request.generation);
  Result<SecurityTargets::Leave> leave = security_->may_activate(*manifest, request.variant, use);
  if (!leave) {
    return leave.error();
  }
  for (const std::string& warning : leave->warnings) {
    core_.log.warning("model.activated_with_warning",
                      {{"slot", request.slot.str()}, {"warning", warning}});
    request.reason += (request.reason.empty() ? "" : "; ") + warning;
  }
  if (leave->permit) {
    if (Result<void> used = security_->use_permit(*leave->permit, use); !used) {
      return used.error();
    }
    request.permit_downgrade = true;
  }
  return {};
}

}  // namespace skerry::agent
