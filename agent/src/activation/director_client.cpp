#include "skerry/agent/director_client.hpp"

#include <algorithm>
#include <utility>

#include "skerry/registry/metadata_store.hpp"

namespace skerry::agent {

namespace tuf = security::tuf;

namespace {

// The files that came with the desired state; the director's metadata is never asked for.
class SentFiles final : public tuf::Fetcher {
 public:
  explicit SentFiles(const MetadataFiles& files) : files_(files) {}
  Result<std::string> fetch(std::string_view name, std::size_t limit) override {
    const auto file = files_.find(name);
    if (file == files_.end()) {
      return Error{Error::Code::kNotFound, "the controller did not send " + std::string{name}};
    }
    if (file->second.size() > limit) {
      return Error{Error::Code::kTooLarge,
                   std::string{name} + " has more than " + std::to_string(limit) + " bytes"};
    }
    return file->second;
  }

 private:
  const MetadataFiles& files_;
};

const MetadataFiles kNoFiles;

}  // namespace

DirectorClient::DirectorClient(registry::Catalogue& catalogue, DeviceTime& time)
    : time_(time), metadata_(registry::make_metadata_store(catalogue, "director")) {}

Result<void> DirectorClient::pin(std::string_view root) {
  const std::lock_guard lock{mutex_};
  SentFiles none{kNoFiles};
  tuf::Client client{*metadata_, none};
  return client.bootstrap(root);
}

Result<bool> DirectorClient::pinned() {
  const std::lock_guard lock{mutex_};
  const auto root = metadata_->load(tuf::Role::kRoot);
  return root ? Result<bool>{root->has_value()} : root.error().with_context("director root");
}

void DirectorClient::identify(const std::string& device_id) {
  const std::lock_guard lock{mutex_};
  device_id_ = device_id;
}

Result<DirectorClient::Versions> DirectorClient::versions() {
  const std::lock_guard lock{mutex_};
  Versions out;
  const auto root = metadata_->load(tuf::Role::kRoot);
  const auto timestamp = metadata_->load(tuf::Role::kTimestamp);
  if (!root || !timestamp) {
    return (root ? timestamp.error() : root.error()).with_context("director metadata");
  }
  if (*root) {
    if (const auto parsed = tuf::parse_root(**root); parsed) {
      out.root = parsed->content.version;
    }
  }
  if (*timestamp) {
    if (const auto parsed = tuf::parse_timestamp(**timestamp); parsed) {
      out.timestamp = parsed->content.version;
    }
  }
  return out;
}

Result<std::vector<tuf::Assignment>> DirectorClient::ours(tuf::Client& client) {
  if (device_id_.empty()) {
    return Error{Error::Code::kFailedPrecondition,
                 "this gateway is not enrolled: it does not know which device the director means"};
  }
  const auto role =
      client.load_role(tuf::assignment_role(device_id_), tuf::assignment_path(device_id_, "slot"));
  if (!role) {
    return role.error().with_context("director");
  }
  return tuf::parse_assignments(device_id_, (*role)->content);
}

Result<DirectorClient::Directions> DirectorClient::take(const MetadataFiles& files) {
  const std::lock_guard lock{mutex_};
  SentFiles sent{files};
  tuf::Client client{*metadata_, sent};
  const auto outcome = client.refresh(time_.now());
  if (!outcome) {
    return outcome.error().with_context("director");
  }
  auto assignments = ours(client);
  if (!assignments) {
    return assignments.error();
  }
  Directions out;
  out.assignments = std::move(*assignments);
  out.persist_time = outcome->issued && time_.issued(*outcome->issued);
  return out;
}

Result<tuf::Assignment> DirectorClient::assignment(const std::string& slot) {
  const std::lock_guard lock{mutex_};
  SentFiles none{kNoFiles};
  tuf::Client client{*metadata_, none};
  // Verified once; expiry stops new directions and not those that were taken.
  if (auto loaded = client.load(time_.now()); !loaded) {
    return loaded.error().with_context("director");
  }
  auto assignments = ours(client);
  if (!assignments) {
    return assignments.error();
  }
  const auto found = std::find_if(
      assignments->begin(), assignments->end(), [&](const auto& one) { return one.slot == slot; });
  if (found == assignments->end()) {
    return Error{Error::Code::kNotFound,
                 "the director assigns nothing to slot " + slot + " of this gateway"};
  }
  return std::move(*found);
}

}  // namespace skerry::agent
