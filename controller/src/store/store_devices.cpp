// Enrolment tokens, certificates, devices, the audit witness.

#include <optional>

#include "store_impl.hpp"

namespace skerry::controller {
namespace {

constexpr const char* kDeviceColumns =
    "SELECT device_id, tenant_id, site_id, note, info, enrolled_ms, last_seen_ms, "
    "protocol_version, certificate_expires_ms, certificate_fingerprint, revoked FROM devices ";

Result<DeviceRecord> read_device(const soci::row& row) {
  DeviceRecord device;
  int revoked = 0;
  device.device_id = row.get<std::string>(0);
  device.tenant_id = row.get<std::string>(1);
  device.site_id = row.get<std::string>(2);
  device.note = row.get<std::string>(3);
  device.enrolled_ms = row.get<long long>(5);
  device.last_seen_ms = row.get<long long>(6);
  device.protocol_version = row.get<long long>(7);
  device.certificate_expires_ms = row.get<long long>(8);
  device.certificate_fingerprint = row.get<std::string>(9);
  revoked = static_cast<int>(row.get<long long>(10));
  device.revoked = revoked != 0;
  auto info = unpack(row.get<std::string>(4), "the description of " + device.device_id);
  if (!info) {
    return info.error();
  }
  device.info = std::move(*info);
  return device;
}

std::optional<AuditWitnessRecord> read_witness(soci::session& sql, const std::string& device_id) {
  AuditWitnessRecord record;
  record.device_id = device_id;
  long long size = 0;
  long long at = 0;
  sql << "SELECT size, root, note, verifier_key, flag, at_ms FROM audit_witness "
         "WHERE device_id = :d",
      soci::use(device_id), soci::into(size), soci::into(record.root), soci::into(record.note),
      soci::into(record.verifier_key), soci::into(record.flag), soci::into(at);
  if (!sql.got_data()) {
    return std::nullopt;
  }
  record.size = size;
  record.at_ms = at;
  return record;
}

void write_witness(soci::session& sql,
                   const std::string& device_id,
                   const AuditWitnessRecord& witness) {
  const long long size = witness.size;
  const long long at = witness.at_ms;
  sql << "DELETE FROM audit_witness WHERE device_id = :d", soci::use(device_id);
  sql << "INSERT INTO audit_witness (device_id, size, root, note, verifier_key, flag, at_ms) "
         "VALUES (:d, :s, :r, :n, :k, :f, :a)",
      soci::use(device_id), soci::use(size), soci::use(witness.root), soci::use(witness.note),
      soci::use(witness.verifier_key), soci::use(witness.flag), soci::use(at);
}

}  // namespace

void insert_certificate(soci::session& sql, const CertificateRecord& certificate) {
  const long long issued = certificate.issued_ms;
  const long long not_after = certificate.not_after_ms;
  sql << "INSERT INTO certificates (fingerprint, serial, kind, subject, tenant_id, issued_ms, "
         "not_after_ms) VALUES (:f, :s, :k, :n, :t, :i, :a)",
      soci::use(certificate.fingerprint), soci::use(certificate.serial),
      soci::use(certificate.kind), soci::use(certificate.subject), soci::use(certificate.tenant_id),
      soci::use(issued), soci::use(not_after);
}

namespace {

// The key is the identity: the same key enrolling again renews its certificate.
void upsert_device(soci::session& sql, const DeviceRecord& device) {
  const std::string info = pack(device.info);
  const long long enrolled = device.enrolled_ms;
  const long long seen = device.last_seen_ms;
  const long long protocol = device.protocol_version;
  const long long expires = device.certificate_expires_ms;
  soci::statement update =
      (sql.prepare << "UPDATE devices SET tenant_id = :t, site_id = :s, note = :n, info = :i, "
                      "certificate_expires_ms = :x, certificate_fingerprint = :f "
                      "WHERE device_id = :d",
       soci::use(device.tenant_id),
       soci::use(device.site_id),
       soci::use(device.note),
       soci::use(info),
       soci::use(expires),
       soci::use(device.certificate_fingerprint),
       soci::use(device.device_id));
  update.execute(true);
  if (affected(update) > 0) {
    return;
  }
  sql << "INSERT INTO devices (device_id, tenant_id, site_id, note, info, enrolled_ms, "
         "last_seen_ms, protocol_version, certificate_expires_ms, certificate_fingerprint, "
         "revoked) VALUES (:d, :t, :s, :n, :i, :e, :l, :p, :x, :f, 0)",
      soci::use(device.device_id), soci::use(device.tenant_id), soci::use(device.site_id),
      soci::use(device.note), soci::use(info), soci::use(enrolled), soci::use(seen),
      soci::use(protocol), soci::use(expires), soci::use(device.certificate_fingerprint);
}

}  // namespace

Result<void> Store::add_token(const TokenRecord& token) {
  return impl_->transact("adding an enrolment token", [&](soci::session& sql) {
    const long long created = token.created_ms;
    const long long expires = token.expires_ms;
    sql << "INSERT INTO enrolment_tokens (token_id, secret_hash, tenant_id, site_id, note, "
           "created_by, created_ms, expires_ms, used_ms, used_by) "
           "VALUES (:i, :h, :t, :s, :n, :b, :c, :e, 0, '')",
        soci::use(token.token_id), soci::use(token.secret_hash), soci::use(token.tenant_id),
        soci::use(token.site_id), soci::use(token.note), soci::use(token.created_by),
        soci::use(created), soci::use(expires);
    return Result<void>{};
  });
}

Result<std::optional<TokenRecord>> Store::find_token(const std::string& token_id) {
  using Found = std::optional<TokenRecord>;
  return impl_->read("reading an enrolment token", [&](soci::session& sql) -> Result<Found> {
    TokenRecord token;
    token.token_id = token_id;
    long long created = 0;
    long long expires = 0;
    long long used = 0;
    sql << "SELECT secret_hash, tenant_id, site_id, note, created_by, created_ms, expires_ms, "
           "used_ms, used_by FROM enrolment_tokens WHERE token_id = :i",
        soci::use(token_id), soci::into(token.secret_hash), soci::into(token.tenant_id),
        soci::into(token.site_id), soci::into(token.note), soci::into(token.created_by),
        soci::into(created), soci::into(expires), soci::into(used), soci::into(token.used_by);
    if (!sql.got_data()) {
      return Found{};
    }
    token.created_ms = created;
    token.expires_ms = expires;
    token.used_ms = used;
    return Found{std::move(token)};
  });
}

Result<void> Store::enrol(const std::string& token_id,
                          const DeviceRecord& device,
                          const CertificateRecord& certificate) {
  return impl_->transact("enrolling a device", [&](soci::session& sql) -> Result<void> {
    const long long now = certificate.issued_ms;
    soci::statement spend =
        (sql.prepare << "UPDATE enrolment_tokens SET used_ms = :n, used_by = :d "
                        "WHERE token_id = :i AND used_ms = 0",
         soci::use(now),
         soci::use(device.device_id),
         soci::use(token_id));
    spend.execute(true);
    if (affected(spend) != 1) {
      return Error{Error::Code::kEnrolmentRefused,
                   "this enrolment token was already used: ask the operator for a new one"};
    }
    upsert_device(sql, device);
    insert_certificate(sql, certificate);
    return {};
  });
}

Result<void> Store::add_certificate(const CertificateRecord& certificate) {
  return impl_->transact("recording a certificate", [&](soci::session& sql) {
    insert_certificate(sql, certificate);
    return Result<void>{};
  });
}

Result<std::vector<DeviceRecord>> Store::devices(const std::string& tenant,
                                                 const std::string& site) {
  using Found = std::vector<DeviceRecord>;
  return impl_->read("listing devices", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kDeviceColumns} +
                            "WHERE (:t1 = '' OR tenant_id = :t2) AND (:s1 = '' OR site_id = :s2) "
                            "ORDER BY device_id",
         soci::use(tenant, "t1"),
         soci::use(tenant, "t2"),
         soci::use(site, "s1"),
         soci::use(site, "s2"));
    Found found;
    for (const auto& row : rows) {
      auto device = read_device(row);
      if (!device) {
        return device.error();
      }
      found.push_back(std::move(*device));
    }
    return found;
  });
}

Result<std::optional<DeviceRecord>> Store::find_device(const std::string& device_id) {
  using Found = std::optional<DeviceRecord>;
  return impl_->read("reading a device", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kDeviceColumns} + "WHERE device_id = :d", soci::use(device_id));
    for (const auto& row : rows) {
      auto device = read_device(row);
      if (!device) {
        return device.error();
      }
      return Found{std::move(*device)};
    }
    return Found{};
  });
}

Result<void> Store::device_seen(const std::string& device_id,
                                std::int64_t now_ms,
                                std::int64_t protocol_version,
                                const std::string& info) {
  return impl_->transact("recording a device's hello", [&](soci::session& sql) -> Result<void> {
    const long long now = now_ms;
    const long long protocol = protocol_version;
    const std::string packed = pack(info);
    soci::statement update =
        (sql.prepare << "UPDATE devices SET last_seen_ms = :n, protocol_version = :p, info = :i "
                        "WHERE device_id = :d",
         soci::use(now),
         soci::use(protocol),
         soci::use(packed),
         soci::use(device_id));
    update.execute(true);
    if (affected(update) != 1) {
      return Error{Error::Code::kNotFound, "no device " + device_id};
    }
    return {};
  });
}

Result<void> Store::touch_devices(const std::vector<std::string>& device_ids, std::int64_t now_ms) {
  return impl_->transact("recording connected devices", [&](soci::session& sql) {
    const long long now = now_ms;
    std::string id;
    soci::statement update =
        (sql.prepare << "UPDATE devices SET last_seen_ms = :n WHERE device_id = :d",
         soci::use(now),
         soci::use(id));
    for (const auto& device_id : device_ids) {
      id = device_id;
      update.execute(true);
    }
    return Result<void>{};
  });
}

Result<std::optional<AuditWitnessRecord>> Store::witness(const std::string& device_id) {
  return impl_->read("reading an audit checkpoint",
                     [&](soci::session& sql) -> Result<std::optional<AuditWitnessRecord>> {
                       return read_witness(sql, device_id);
                     });
}

Result<void> Store::change_witness(const std::string& device_id, const WitnessJudge& judge) {
  return impl_->transact("recording an audit checkpoint", [&](soci::session& sql) -> Result<void> {
    const auto next = judge(read_witness(sql, device_id));
    if (!next) {
      return next.error();
    }
    if (*next) {
      write_witness(sql, device_id, **next);
    }
    return {};
  });
}

}  // namespace skerry::controller
