#include "director.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/bytes.hpp"

#include "trust_upload.hpp"

namespace skerry::controller {

namespace tuf = security::tuf;
using tuf::Role;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShortestPeriod{std::chrono::hours{1}};
// Of the list that delegates to the device's role.
constexpr milliseconds kLongPeriod{std::chrono::hours{30 * 24}};
// Periods that fit below one step of the generations: 119 years of hours.
constexpr std::int64_t kPeriodsPerStep = 1LL << 20U;
// How long another controller's new root may go unseen.
constexpr std::chrono::seconds kHeadLife{5};
constexpr std::size_t kCachedDevices = 16384;

struct Period {
  std::int64_t number = 0;
  WallTime begin{};
};

Period period_at(WallTime now, milliseconds length) {
  const std::int64_t number = std::max<std::int64_t>(now.time_since_epoch() / length, 0);
  return {number, WallTime{number * length}};
}

bool speaks_for(const tuf::Root& root, Role role, const security::PublicKey& key) {
  const tuf::RoleKeys& keys = root.keys_of(role);
  return keys.threshold == 1 &&
         std::any_of(keys.keyids.begin(), keys.keyids.end(), [&](const std::string& id) {
           const auto listed = root.keys.usable.find(id);
           return listed != root.keys.usable.end() && listed->second == key;
         });
}

// Why `key` cannot sign under the root, if so.
std::optional<Error> misfit(const tuf::Root& root, const security::PublicKey& key) {
  for (const Role role : {Role::kTargets, Role::kSnapshot, Role::kTimestamp}) {
    if (!speaks_for(root, role, key)) {
      return Error{Error::Code::kFailedPrecondition,
                   "director root " + std::to_string(root.version) + " does not give " +
                       std::string{to_string(role)} + " to the controller's director key " +
                       key.key_id() + " alone (threshold 1): publish a root that does"};
    }
  }
  return std::nullopt;
}

}  // namespace

Director::Director(Store& store,
                   std::shared_ptr<const security::Signer> key,
                   const Clock& clock,
                   TrustConfig config)
    : store_(store),
      key_(std::move(key)),
      clock_(clock),
      period_(std::max(config.timestamp_lifetime / 2, kShortestPeriod)) {}

std::string Director::key() const {
  const auto canonical = key_->public_key().to_tuf_json().canonical();
  return canonical ? *canonical : std::string{};
}

Result<std::int64_t> Director::publish(const std::string& tenant, std::vector<NamedBytes> files) {
  const std::lock_guard publishing{publish_mutex_};
  auto upload = sort_upload(std::move(files), kRepository);
  if (!upload) {
    return upload.error();
  }
  if (!upload->roles.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "only <n>.root.json is published to the director repository; the rest is made by "
                 "the controller for each device"};
  }
  const auto current = PublishedSet::load(store_, tenant, kRepository);
  if (!current) {
    return current.error();
  }
  const WallTime now = clock_.wall_now();
  std::vector<MetadataRecord> stored;
  const auto set = follow_roots(*current, std::move(upload->roots), now, kRepository, stored);
  if (!set) {
    return set.error();
  }
  if (const auto wrong = misfit(set->root().content, key_->public_key()); wrong) {
    return *wrong;
  }
  if (auto kept = store_.publish_metadata(tenant, stored, {}, now.time_since_epoch().count());
      !kept) {
    return kept.error();
  }
  const std::lock_guard lock{mutex_};
  heads_.erase(tenant);
  delegating_.clear();
  return set->root().content.version;
}

Result<std::vector<NamedBytes>> Director::roots(const std::string& tenant) {
  return roots_after(tenant, 0);
}

Result<std::vector<NamedBytes>> Director::roots_after(const std::string& tenant,
                                                      std::int64_t known) {
  std::vector<NamedBytes> out;
  // The ordinary case costs no look at the store.
  const auto newest = head(tenant);
  if (!newest || newest->root_version <= known) {
    return newest ? Result<std::vector<NamedBytes>>{std::move(out)} : newest.error();
  }
  auto current = PublishedSet::load(store_, tenant, kRepository);
  if (!current) {
    return current.error();
  }
  for (auto& root : current->roots) {
    if (root.version > known) {
      out.push_back({std::move(root.name), std::move(root.content)});
    }
  }
  return out;
}

Result<Director::Head> Director::head(const std::string& tenant) {
  const BootTime now = clock_.boot_now();
  {
    const std::lock_guard lock{mutex_};
    const auto known = heads_.find(tenant);
    if (known != heads_.end() && now - known->second.read < kHeadLife) {
      return known->second;
    }
  }
  const auto current = PublishedSet::load(store_, tenant, kRepository);
  if (!current) {
    return current.error();
  }
  Head head;
  head.read = now;
  if (const MetadataRecord* newest = current->find(to_string(Role::kRoot)); newest != nullptr) {
    const auto root = tuf::parse_root(newest->content);
    if (!root) {
      return root.error().with_context("the store");
    }
    head.root_version = root->content.version;
    head.unusable = misfit(root->content, key_->public_key());
  }
  const std::lock_guard lock{mutex_};
  heads_.insert_or_assign(tenant, head);
  return head;
}

Result<std::int64_t> Director::root_version(const std::string& tenant) {
  const auto newest = head(tenant);
  return newest ? Result<std::int64_t>{newest->root_version} : newest.error();
}

Result<std::int64_t> Director::floor_of(const std::string& device_id) {
  {
    const std::lock_guard lock{mutex_};
    if (const auto known = floors_.find(device_id); known != floors_.end()) {
      return known->second;
    }
  }
  const auto stored = store_.director_floor(device_id);
  if (!stored) {
    return stored.error();
  }
  const std::lock_guard lock{mutex_};
  if (floors_.size() >= kCachedDevices) {
    floors_.clear();
  }
  floors_.insert_or_assign(device_id, *stored);
  return *stored;
}

Result<void> Director::pass_version(const std::string& device_id, std::int64_t seen) {
  const auto floor = floor_of(device_id);
  const auto slots = store_.desired(device_id);
  if (!floor || !slots) {
    return floor ? slots.error() : floor.error();
  }
  std::int64_t steps = *floor;
  for (const auto& slot : *slots) {
    steps += slot.generation;
  }
  // The same step in an earlier period is the ordinary case: the device has it already.
  const std::int64_t missing = seen / kPeriodsPerStep - steps;
  if (missing <= 0) {
    return {};
  }
  if (auto raised = store_.set_director_floor(device_id, *floor + missing + 1); !raised) {
    return raised;
  }
  const std::lock_guard lock{mutex_};
  floors_.insert_or_assign(device_id, *floor + missing + 1);
  return {};
}

Result<tuf::TargetFile> Director::manifest_file(const std::string& tenant,
                                                const std::string& target) {
  const std::pair key{tenant, target};
  {
    const std::lock_guard lock{mutex_};
    if (const auto known = manifests_.find(key); known != manifests_.end()) {
      return known->second;
    }
  }
  const auto manifest = store_.find_manifest(tenant, target);
  if (!manifest) {
    return manifest.error();
  }
  if (!*manifest) {
    return Error{Error::Code::kNotFound, "there is no manifest of " + target + " to direct to"};
  }
  const auto digest = Digest::parse((**manifest).digest);
  if (!digest) {
    return digest.error().with_context("the store");
  }
  tuf::TargetFile file;
  file.length = static_cast<std::uint64_t>((**manifest).length);
  file.hashes["sha256"] = digest->hex();
  file.custom = Json{Json::Object{{"release_counter", (**manifest).release_counter}}};
  if ((**manifest).published) {
    const std::lock_guard lock{mutex_};
    manifests_.insert_or_assign(key, file);
  }
  return file;
}

Result<NamedBytes> Director::sign(const tuf::RoleName& role,
                                  Json::Object part,
                                  std::int64_t version,
                                  WallTime issued,
                                  WallTime expires) const {
  part["_type"] = std::string{to_string(tuf::shape_of(role))};
  part["spec_version"] = "1.0.34";
  part["version"] = version;
  part["expires"] = to_rfc3339(expires);
  part["x-skerry-issued"] = to_rfc3339(issued);
  const Json signed_part{std::move(part)};
  const auto canonical = signed_part.canonical();
  const auto signature =
      canonical ? key_->sign(as_bytes(*canonical)) : Result<Bytes>{canonical.error()};
  if (!signature) {
    return signature.error().with_context("signing " + role.text());
  }
  const Json envelope{Json::Object{{"signatures",
                                    Json::Array{Json::Object{{"keyid", key_->public_key().key_id()},
                                                             {"sig", to_hex(*signature)}}}},
                                   {"signed", signed_part}}};
  return NamedBytes{served_name(role, version), envelope.dump()};
}

Result<NamedBytes> Director::delegating_targets(const DirectedDevice& device, WallTime now) {
  const Period period = period_at(now, kLongPeriod);
  const std::int64_t version = period.number + 1;
  const std::string name = served_name(Role::kTargets, version);
  {
    const std::lock_guard lock{mutex_};
    const auto known = delegating_.find(device.device_id);
    if (known != delegating_.end() && known->second.name == name) {
      return known->second;
    }
  }
  const security::PublicKey& key = key_->public_key();
  Json::Object role{{"name", tuf::assignment_role(device.device_id)},
                    {"keyids", Json::Array{key.key_id()}},
                    {"threshold", 1},
                    {"terminating", true},
                    {"paths", Json::Array{tuf::assignment_pattern(device.device_id)}}};
  Json::Object part{{"targets", Json::Object{}},
                    {"delegations",
                     Json::Object{{"keys", Json::Object{{key.key_id(), key.to_tuf_json()}}},
                                  {"roles", Json::Array{Json{std::move(role)}}}}}};
  auto file =
      sign(Role::kTargets, std::move(part), version, period.begin, period.begin + 3 * kLongPeriod);
  if (!file) {
    return file;
  }
  const std::lock_guard lock{mutex_};
  if (delegating_.size() >= kCachedDevices) {
    delegating_.clear();
  }
  delegating_.insert_or_assign(device.device_id, *file);
  return file;
}

Result<std::optional<DirectorView>> Director::view(const DirectedDevice& device,
                                                   const std::vector<DesiredSlotRecord>& slots) {
  using Found = std::optional<DirectorView>;
  const auto root = head(device.tenant_id);
  if (!root) {
    return root.error();
  }
  if (root->root_version == 0) {
    return Found{};
  }
  if (root->unusable) {
    return *root->unusable;
  }
  const auto floor = floor_of(device.device_id);
  if (!floor) {
    return floor.error();
  }
  std::int64_t steps = *floor;
  Json::Object targets;
  for (const auto& slot : slots) {
    steps += slot.generation;
    tuf::Assignment assignment;
    assignment.slot = slot.slot;
    assignment.generation = static_cast<std::uint64_t>(slot.generation);
    assignment.target = slot.target;
    assignment.rollout = slot.rollout_id;
    assignment.hardware = device.machine;
    if (slot.not_after_ms != 0) {
      assignment.not_after = WallTime{milliseconds{slot.not_after_ms}};
    }
    if (!slot.target.empty()) {
      auto file = manifest_file(device.tenant_id, slot.target);
      if (!file) {
        return file.error();
      }
      assignment.file = std::move(*file);
    }
    tuf::TargetFile entry = tuf::encode_assignment(assignment);
    Json::Object hashes;
    for (const auto& [algorithm, hash] : entry.hashes) {
      hashes[algorithm] = hash;
    }
    targets[tuf::assignment_path(device.device_id, slot.slot)] =
        Json::Object{{"length", entry.length},
                     {"hashes", std::move(hashes)},
                     {"custom", std::move(entry.custom)}};
  }
  const WallTime now = clock_.wall_now();
  const Period period = period_at(now, period_);
  const WallTime expires = period.begin + 2 * period_;
  DirectorView out;
  out.version = steps * kPeriodsPerStep + period.number + 1;
  auto delegating = delegating_targets(device, now);
  if (!delegating) {
    return delegating.error();
  }
  const tuf::RoleName role{tuf::assignment_role(device.device_id)};
  Json::Object list{{"targets", std::move(targets)}};
  auto own = sign(role, std::move(list), out.version, period.begin, expires);
  if (!own) {
    return own.error();
  }
  Json::Object named;
  named["targets.json"] = meta_entry(delegating->content, period_at(now, kLongPeriod).number + 1);
  named[role.text() + ".json"] = meta_entry(own->content, out.version);
  Json::Object snapshot_part{{"meta", std::move(named)}};
  auto snapshot =
      sign(Role::kSnapshot, std::move(snapshot_part), out.version, period.begin, expires);
  if (!snapshot) {
    return snapshot.error();
  }
  Json::Object meta{{"snapshot.json", meta_entry(snapshot->content, out.version)}};
  Json::Object timestamp_part{{"meta", std::move(meta)}};
  auto timestamp =
      sign(Role::kTimestamp, std::move(timestamp_part), out.version, period.begin, expires);
  if (!timestamp) {
    return timestamp.error();
  }
  out.files = {
      std::move(*timestamp), std::move(*snapshot), std::move(*delegating), std::move(*own)};
  return Found{std::move(out)};
}

Result<std::string> Director::read(const DirectedDevice& device, std::string_view name) {
  const Error missing{
      Error::Code::kNotFound,
      "nothing is published as \"" + std::string{name.substr(0, 80)} + "\" in director"};
  if (name.ends_with(".root.json") && name.size() <= TrustPublisher::kMaxName) {
    auto root = store_.find_metadata(device.tenant_id, std::string{kRepository}, std::string{name});
    if (!root) {
      return root.error();
    }
    return *root ? Result<std::string>{std::move((**root).content)} : missing;
  }
  const auto slots = store_.desired(device.device_id);
  if (!slots) {
    return slots.error();
  }
  auto made = view(device, *slots);
  if (!made) {
    return made.error();
  }
  if (*made) {
    for (auto& file : (**made).files) {
      if (file.name == name) {
        return std::move(file.content);
      }
    }
  }
  return missing;
}

}  // namespace skerry::controller
