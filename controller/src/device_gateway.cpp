#include "device_gateway.hpp"

#include <utility>

namespace skerry::controller {

fleet::v1::ControllerMessage trust_message(const Authorities& authorities) {
  fleet::v1::ControllerMessage message;
  message.mutable_trust()->set_anchors_pem(authorities.bundle_pem());
  message.mutable_trust()->set_cross_certificates_pem(authorities.cross_pem());
  return message;
}

DeviceGateway::DeviceGateway(Store& store,
                             const Clock& clock,
                             Log log,
                             std::chrono::milliseconds offline_after)
    : store_(store),
      clock_(clock),
      log_(std::move(log)),
      offline_after_(offline_after),
      started_(clock.boot_now()) {}

void DeviceGateway::attach(const std::string& device_id, const std::shared_ptr<DeviceLink>& link) {
  std::shared_ptr<DeviceLink> replaced;
  {
    const std::lock_guard lock{mutex_};
    replaced = std::exchange(links_[device_id], link);
    left_.erase(device_id);
  }
  if (replaced) {
    log_.warning("device.connection_replaced", {{"device", device_id}});
    replaced->close(
        Error{Error::Code::kUnavailable,
              "another connection with the certificate of " + device_id + " took over"});
  }
}

void DeviceGateway::detach(const std::string& device_id, const DeviceLink* link) {
  const std::lock_guard lock{mutex_};
  const auto found = links_.find(device_id);
  if (found != links_.end() && found->second.get() == link) {
    links_.erase(found);
    left_[device_id] = clock_.boot_now();
  }
}

bool DeviceGateway::connected(const std::string& device_id) const {
  const std::lock_guard lock{mutex_};
  return links_.contains(device_id);
}

bool DeviceGateway::online(const std::string& device_id) const {
  const std::lock_guard lock{mutex_};
  if (links_.contains(device_id)) {
    return true;
  }
  // After a restart of the controller every device gets the same time to come back.
  const auto left = left_.find(device_id);
  const BootTime since = left == left_.end() ? started_ : left->second;
  return clock_.boot_now() - since < offline_after_;
}

std::vector<std::string> DeviceGateway::connected_devices() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> ids;
  ids.reserve(links_.size());
  for (const auto& [id, link] : links_) {
    ids.push_back(id);
  }
  return ids;
}

std::shared_ptr<DeviceLink> DeviceGateway::find(const std::string& device_id) const {
  const std::lock_guard lock{mutex_};
  const auto found = links_.find(device_id);
  return found == links_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<DeviceLink>> DeviceGateway::all() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::shared_ptr<DeviceLink>> links;
  for (const auto& [id, link] : links_) {
    links.push_back(link);
  }
  return links;
}

void DeviceGateway::push_desired(const std::vector<std::string>& device_ids) {
  std::map<std::string, std::shared_ptr<DeviceLink>> links;
  std::vector<std::string> ids;
  for (const auto& id : device_ids) {
    if (auto link = find(id)) {
      links.emplace(id, std::move(link));
      ids.push_back(id);
    }
  }
  if (ids.empty()) {
    return;
  }
  auto states = store_.desired_of(ids);
  if (!states) {
    // The devices get their state with their next hello.
    log_.error("device.push_failed", states.error());
    for (const auto& [id, link] : links) {
      link->close(states.error());
    }
    return;
  }
  for (auto& [id, slots] : *states) {
    links.at(id)->desire(std::move(slots));
  }
}

void DeviceGateway::announce_metadata() {
  for (const auto& link : all()) {
    fleet::v1::ControllerMessage message;
    message.mutable_metadata_changed();
    link->send(std::move(message));
  }
}

void DeviceGateway::announce_authorities(const Authorities& authorities) {
  for (const auto& link : all()) {
    link->send(trust_message(authorities));
  }
}

void DeviceGateway::close(const std::string& device_id, const Error& reason) {
  if (const auto link = find(device_id)) {
    link->close(reason);
  }
}

void DeviceGateway::send(const std::string& device_id, fleet::v1::ControllerMessage message) {
  if (const auto link = find(device_id)) {
    link->send(std::move(message));
  }
}

void DeviceGateway::cut(const std::string& device_id, const Error& reason) {
  std::shared_ptr<TransferCut> running;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = cuts_.find(device_id); found != cuts_.end()) {
      running = found->second.lock();
      // Transfers after a reinstatement get one of their own.
      cuts_.erase(found);
    }
  }
  if (running) {
    running->cut();
  }
  close(device_id, reason);
}

std::shared_ptr<TransferCut> DeviceGateway::transfer_cut(const std::string& device_id) {
  const std::lock_guard lock{mutex_};
  auto& held = cuts_[device_id];
  auto cut = held.lock();
  if (!cut) {
    cut = std::make_shared<TransferCut>();
    held = cut;
  }
  return cut;
}

void DeviceGateway::close_all(const Error& reason) {
  for (const auto& link : all()) {
    link->close(reason);
  }
}

}  // namespace skerry::controller
