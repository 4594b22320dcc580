#include "fleet_streams.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "fleet_views.hpp"

namespace skerry::controller {

namespace asio = boost::asio;
namespace pb = fleet::v1;

namespace {

constexpr std::size_t kAuditPage = 256;
constexpr std::uint32_t kAuditDefault = 100;

}  // namespace

BlobReceiver::BlobReceiver(ServiceContext& context,
                           grpc::CallbackServerContext& call,
                           pb::PushBlobResponse& response)
    : context_(context), call_(call), response_(response) {
  StartRead(&message_);
}

void BlobReceiver::OnReadDone(bool ok) {
  asio::post(context_.pool, [this, ok] {
    const auto done = ok ? take() : end();
    if (!done) {
      upload_.reset();
      Finish(to_status(done.error()));
    } else if (ok) {
      StartRead(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  });
}

Result<void> BlobReceiver::take() {
  if (message_.has_header()) {
    if (begun_) {
      return Error{Error::Code::kInvalidArgument, "a second header in one upload"};
    }
    return begin(message_.header());
  }
  if (!begun_) {
    return Error{Error::Code::kInvalidArgument, "an upload begins with a header"};
  }
  // The blob is here already: the rest is read and forgotten.
  return upload_ ? upload_->write(as_bytes(message_.data())) : Result<void>{};
}

Result<void> BlobReceiver::begin(const pb::PushBlobHeader& header) {
  auto caller = context_.guard.caller(call_, security::SpiffeId::Kind::kOperator);
  if (!caller) {
    return caller.error();
  }
  caller_ = std::move(*caller);
  if (auto allowed =
          context_.guard.authorise(caller_, security::Verb::kFleetModelsPush, "blob.push");
      !allowed) {
    return allowed.error();
  }
  const auto digest = Digest::from_bytes(as_bytes(header.digest()));
  if (!digest) {
    return Error{Error::Code::kInvalidArgument, "digest: " + digest.error().message()};
  }
  digest_ = *digest;
  size_ = header.size();
  begun_ = true;
  if (context_.blobs.has(digest_)) {
    response_.set_existed(true);
    return {};
  }
  auto upload = context_.blobs.begin(digest_, size_);
  if (!upload) {
    return upload.error();
  }
  upload_ = std::move(*upload);
  return {};
}

Result<void> BlobReceiver::end() {
  if (call_.IsCancelled()) {
    return Error{Error::Code::kCancelled, "the upload was cancelled"};
  }
  if (!begun_) {
    return Error{Error::Code::kInvalidArgument, "an upload begins with a header"};
  }
  response_.set_stored_bytes(size_);
  if (!upload_) {
    return {};
  }
  security::AuditObject object;
  object.blob_digest = digest_.to_string();
  const auto commit = [this] { return upload_->commit(); };
  return context_.guard.act(caller_, security::Verb::kFleetModelsPush, "blob.push", object, commit);
}

RolloutWatcher::RolloutWatcher(ServiceContext& context, std::string rollout_id)
    : context_(context),
      rollout_id_(std::move(rollout_id)),
      strand_(asio::make_strand(context.pool)) {}

RolloutWatcher* RolloutWatcher::start(ServiceContext& context,
                                      grpc::CallbackServerContext& call,
                                      std::string rollout_id) {
  std::shared_ptr<RolloutWatcher> watcher{new RolloutWatcher{context, std::move(rollout_id)}};
  watcher->self_ = watcher;
  const auto caller = context.guard.caller(call, security::SpiffeId::Kind::kOperator);
  auto allowed =
      caller ? context.guard.authorise(*caller, security::Verb::kFleetRolloutRead, "rollout.watch")
             : Result<security::Decision>{caller.error()};
  if (!allowed) {
    watcher->finished_ = true;
    watcher->Finish(to_status(allowed.error()));
    return watcher.get();
  }
  watcher->subscription_ = context.changes.subscribe(
      watcher->rollout_id_, [weak = std::weak_ptr<RolloutWatcher>{watcher}] {
        if (const auto alive = weak.lock()) {
          asio::post(alive->strand_, [alive] { alive->look(); });
        }
      });
  asio::post(watcher->strand_, [watcher] { watcher->look(); });
  return watcher.get();
}

void RolloutWatcher::look() {
  if (finished_ || final_) {
    return;
  }
  if (writing_) {
    again_ = true;
    return;
  }
  auto view = rollout_view(context_, rollout_id_);
  if (!view) {
    finish(to_status(view.error()));
    return;
  }
  std::string bytes = view->SerializeAsString();
  if (bytes == last_) {
    return;
  }
  last_ = std::move(bytes);
  message_ = std::move(*view);
  final_ = is_final(static_cast<RolloutState>(message_.state()));
  writing_ = true;
  StartWrite(&message_);
}

void RolloutWatcher::OnWriteDone(bool ok) {
  asio::post(strand_, [self = shared_from_this(), ok] {
    self->writing_ = false;
    if (!ok || self->final_) {
      self->finish(ok ? grpc::Status::OK : grpc::Status::CANCELLED);
    } else if (std::exchange(self->again_, false)) {
      self->look();
    }
  });
}

void RolloutWatcher::OnCancel() {
  asio::post(strand_, [self = shared_from_this()] { self->finish(grpc::Status::CANCELLED); });
}

void RolloutWatcher::OnDone() {
  context_.changes.unsubscribe(subscription_);
  self_.reset();
}

void RolloutWatcher::finish(const grpc::Status& status) {
  // A write that is under way ends first, and with the call cancelled it fails at once.
  if (finished_ || writing_) {
    return;
  }
  finished_ = true;
  Finish(status);
}

AuditTail::AuditTail(ServiceContext& context,
                     grpc::CallbackServerContext& call,
                     const pb::TailControllerAuditRequest& request)
    : context_(context) {
  asio::post(context_.pool, [this, &call, wanted = request] {
    if (auto opened = open(call, wanted); !opened) {
      Finish(to_status(opened.error()));
      return;
    }
    next();
  });
}

Result<void> AuditTail::open(grpc::CallbackServerContext& call,
                             const pb::TailControllerAuditRequest& request) {
  const auto caller = context_.guard.caller(call, security::SpiffeId::Kind::kOperator);
  if (!caller) {
    return caller.error();
  }
  const auto allowed =
      context_.guard.authorise(*caller, security::Verb::kFleetAuditRead, "audit.read");
  if (!allowed) {
    return allowed.error();
  }
  const std::uint64_t size = context_.guard.audit().status().size;
  from_ = request.from_seq();
  if (request.last() != 0 || request.from_seq() == 0) {
    const std::uint64_t last = request.last() == 0 ? kAuditDefault : request.last();
    from_ = std::max(from_, size > last ? size - last : 0);
  }
  left_ = size > from_ ? size - from_ : 0;
  return {};
}

void AuditTail::next() {
  if (entries_.empty() && left_ > 0) {
    auto page = context_.guard.audit().read(from_, std::min<std::uint64_t>(left_, kAuditPage));
    if (!page) {
      Finish(to_status(page.error()));
      return;
    }
    entries_.assign(page->begin(), page->end());
    left_ -= std::min<std::uint64_t>(left_, entries_.size());
    from_ += entries_.size();
  }
  if (entries_.empty()) {
    Finish(grpc::Status::OK);
    return;
  }
  message_.set_seq(entries_.front().seq);
  message_.set_json(std::move(entries_.front().record));
  entries_.pop_front();
  StartWrite(&message_);
}

void AuditTail::OnWriteDone(bool ok) {
  if (!ok) {
    Finish(grpc::Status::CANCELLED);
    return;
  }
  asio::post(context_.pool, [this] { next(); });
}

}  // namespace skerry::controller
