// What becomes of a device after its enrolment: keys, nonces, revocation, the end.

#include <algorithm>

#include "store_impl.hpp"

namespace skerry::controller {
namespace {

DeviceLifeRecord read_life(soci::session& sql, const std::string& device_id) {
  DeviceLifeRecord life;
  life.device_id = device_id;
  long long confirmed = 0;
  long long nonce_reset = 0;
  long long clone_ms = 0;
  long long clone_count = 0;
  long long revoked_ms = 0;
  long long quarantined = 0;
  long long ordered_ms = 0;
  long long decommissioned_ms = 0;
  sql << "SELECT key_spki, confirmed_ms, nonce, previous_nonce, nonce_reset, clone_flag, clone_ms, "
         "clone_count, revoked_ms, quarantined, revoked_by, revoke_reason, order_id, ordered_ms, "
         "decommissioned_ms FROM device_life WHERE device_id = :d",
      soci::use(device_id), soci::into(life.key_spki), soci::into(confirmed),
      soci::into(life.nonce), soci::into(life.previous_nonce), soci::into(nonce_reset),
      soci::into(life.clone_flag), soci::into(clone_ms), soci::into(clone_count),
      soci::into(revoked_ms), soci::into(quarantined), soci::into(life.revoked_by),
      soci::into(life.revoke_reason), soci::into(life.order_id), soci::into(ordered_ms),
      soci::into(decommissioned_ms);
  if (!sql.got_data()) {
    DeviceLifeRecord none;
    none.device_id = device_id;
    return none;
  }
  life.confirmed_ms = confirmed;
  life.nonce_reset = nonce_reset != 0;
  life.clone_ms = clone_ms;
  life.clone_count = clone_count;
  life.revoked_ms = revoked_ms;
  life.quarantined = quarantined != 0;
  life.ordered_ms = ordered_ms;
  life.decommissioned_ms = decommissioned_ms;
  return life;
}

void write_life(soci::session& sql, const DeviceLifeRecord& life) {
  const long long confirmed = life.confirmed_ms;
  const long long nonce_reset = life.nonce_reset ? 1 : 0;
  const long long clone_ms = life.clone_ms;
  const long long clone_count = life.clone_count;
  const long long revoked_ms = life.revoked_ms;
  const long long quarantined = life.quarantined ? 1 : 0;
  const long long ordered_ms = life.ordered_ms;
  const long long decommissioned_ms = life.decommissioned_ms;
  sql << "DELETE FROM device_life WHERE device_id = :d", soci::use(life.device_id);
  sql << "INSERT INTO device_life (device_id, key_spki, confirmed_ms, nonce, previous_nonce, "
         "nonce_reset, clone_flag, clone_ms, clone_count, revoked_ms, quarantined, revoked_by, "
         "revoke_reason, order_id, ordered_ms, decommissioned_ms) VALUES (:d, :k, :c, :n, :p, :r, "
         ":f, :m, :t, :v, :q, :b, :w, :o, :g, :z)",
      soci::use(life.device_id), soci::use(life.key_spki), soci::use(confirmed),
      soci::use(life.nonce), soci::use(life.previous_nonce), soci::use(nonce_reset),
      soci::use(life.clone_flag), soci::use(clone_ms), soci::use(clone_count),
      soci::use(revoked_ms), soci::use(quarantined), soci::use(life.revoked_by),
      soci::use(life.revoke_reason), soci::use(life.order_id), soci::use(ordered_ms),
      soci::use(decommissioned_ms);
}

}  // namespace

Result<DeviceLifeRecord> Store::life(const std::string& device_id) {
  return impl_->read(
      "reading the life of a device",
      [&](soci::session& sql) -> Result<DeviceLifeRecord> { return read_life(sql, device_id); });
}

Result<DeviceLifeRecord> Store::change_life(
    const std::string& device_id, const std::function<Result<void>(DeviceLifeRecord&)>& change) {
  return impl_->transact(
      "recording the life of a device", [&](soci::session& sql) -> Result<DeviceLifeRecord> {
        const DeviceLifeRecord before = read_life(sql, device_id);
        DeviceLifeRecord life = before;
        if (auto changed = change(life); !changed) {
          return changed.error();
        }
        if (life == before) {
          return life;
        }
        write_life(sql, life);
        const int revoked = life.revoked_ms != 0 || life.decommissioned_ms != 0 ? 1 : 0;
        sql << "UPDATE devices SET revoked = :r WHERE device_id = :d", soci::use(revoked),
            soci::use(device_id);
        return life;
      });
}

Result<std::optional<std::string>> Store::device_with_key(const std::string& key_spki) {
  using Found = std::optional<std::string>;
  return impl_->read("looking for a device by its key", [&](soci::session& sql) -> Result<Found> {
    std::string device_id;
    sql << "SELECT device_id FROM device_life WHERE key_spki = :k", soci::use(key_spki),
        soci::into(device_id);
    return sql.got_data() ? Found{device_id} : Found{};
  });
}

Result<void> Store::reset_nonces() {
  return impl_->transact("taking the devices' nonces as they come", [](soci::session& sql) {
    sql << "INSERT INTO device_life (device_id, key_spki, confirmed_ms, nonce, previous_nonce, "
           "nonce_reset, clone_flag, clone_ms, clone_count, revoked_ms, quarantined, revoked_by, "
           "revoke_reason, order_id, ordered_ms, decommissioned_ms) SELECT device_id, '', 0, '', "
           "'', 1, '', 0, 0, 0, 0, '', '', '', 0, 0 FROM devices WHERE device_id NOT IN (SELECT "
           "device_id FROM device_life)";
    sql << "UPDATE device_life SET nonce_reset = 1";
    return Result<void>{};
  });
}

Result<void> Store::renew(const std::string& device_id,
                          const std::string& key_spki,
                          std::int64_t begins_ms,
                          const CertificateRecord& certificate) {
  return impl_->transact("renewing a certificate", [&](soci::session& sql) -> Result<void> {
    const long long expires = certificate.not_after_ms;
    soci::statement update =
        (sql.prepare << "UPDATE devices SET certificate_expires_ms = :x, "
                        "certificate_fingerprint = :f WHERE device_id = :d AND revoked = 0",
         soci::use(expires),
         soci::use(certificate.fingerprint),
         soci::use(device_id));
    update.execute(true);
    if (affected(update) != 1) {
      return Error{Error::Code::kNotFound, "no device " + device_id + " that may renew"};
    }
    DeviceLifeRecord life = read_life(sql, device_id);
    life.key_spki = key_spki;
    life.confirmed_ms = std::min(life.confirmed_ms, begins_ms);
    write_life(sql, life);
    insert_certificate(sql, certificate);
    return {};
  });
}

}  // namespace skerry::controller
