#pragma once

// Which devices are connected, and the way to them. Sessions attach and detach; the rollout engine
// and the publisher push through it. Thread-safe; pushing reads the store.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/log.hpp"
#include "skerry/controller/authorities.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/fleet/v1/device.pb.h"

#include "transfer_cut.hpp"

namespace skerry::controller {

// The sending end of one connection. Calls never block and may come after the connection's end.
class DeviceLink {
 public:
  virtual ~DeviceLink() = default;
  virtual void send(fleet::v1::ControllerMessage message) = 0;
  // Sends the desired state, signed by the director for devices that know it.
  virtual void desire(std::vector<DesiredSlotRecord> slots) = 0;
  // Ends the connection with this error.
  virtual void close(const Error& reason) = 0;
};

fleet::v1::ControllerMessage trust_message(const Authorities& authorities);

class DeviceGateway {
 public:
  // A device that has been away for less than `offline_after` still counts as online.
  DeviceGateway(Store& store, const Clock& clock, Log log, std::chrono::milliseconds offline_after);

  // An older connection of the same device is closed: it lost its network without our seeing it, or
  // its key was copied.
  void attach(const std::string& device_id, const std::shared_ptr<DeviceLink>& link);
  // Only if `link` is still the one that is attached.
  void detach(const std::string& device_id, const DeviceLink* link);

  [[nodiscard]] bool connected(const std::string& device_id) const;
  [[nodiscard]] bool online(const std::string& device_id) const;
  [[nodiscard]] std::vector<std::string> connected_devices() const;

  // Sends each of these that is connected its present desired state.
  void push_desired(const std::vector<std::string>& device_ids);
  // Tells every connected device that there is newer trust metadata.
  void announce_metadata();
  // Tells every connected device which authorities to trust from now on.
  void announce_authorities(const Authorities& authorities);
  // Sends to one device, if it is connected.
  void send(const std::string& device_id, fleet::v1::ControllerMessage message);
  // Ends the connection of one device, if it has one.
  void close(const std::string& device_id, const Error& reason);
  // The same, and the blobs that are being sent to it.
  void cut(const std::string& device_id, const Error& reason);
  // What the device's transfers watch. Ask for it before asking whether the device was revoked, or
  // the cut may fall between the two.
  [[nodiscard]] std::shared_ptr<TransferCut> transfer_cut(const std::string& device_id);
  void close_all(const Error& reason);

 private:
  [[nodiscard]] std::shared_ptr<DeviceLink> find(const std::string& device_id) const;
  [[nodiscard]] std::vector<std::shared_ptr<DeviceLink>> all() const;

  Store& store_;
  const Clock& clock_;
  Log log_;
  std::chrono::milliseconds offline_after_;
  BootTime started_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<DeviceLink>, std::less<>> links_;
  std::map<std::string, BootTime, std::less<>> left_;
  // Alive while a transfer holds them.
  std::map<std::string, std::weak_ptr<TransferCut>, std::less<>> cuts_;
};

}  // namespace skerry::controller
