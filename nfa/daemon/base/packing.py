"""Compresses flow records of live flows, which may have to be re-evaluated, and data of sinks (gzip).

In: the payload of a record as it came. Out: about 150 bytes of it, and the payload again. A dictionary holds what all
records have: the names of their fields, in netifyd's order, with usual values. All of zlib that the daemon uses is here:
MicroPython has another module for it.
"""

import zlib

_LEVEL = 3
"""Of gzip: records repeat themselves, so the higher levels cost much more and gain little."""
_GZIP = 31
"""zlib's window bits for the form of gzip (RFC 1952)."""
_DICTIONARY = (
    b'"user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36","url":"http://www."},"dhcp":{"ssh":{"bt":{"info_hash":"'
    b'"conntrack":{"id":,"mark":0,"reply_dst_ip":"192.168.1.","reply_dst_port":,"reply_src_ip":"","reply_src_port":443},'
    b'"risks":{"ndpi_risk_score":10,"ndpi_risk_score_client":10,"ndpi_risk_score_server":0,"risks":[36]},"soft_dissector":false,'
    b'"ssl":{"alpn":["h2","http/1.1"],"alpn_server":["h2"],"cipher_suite":"0xc02f","cipher_suite":"0x1301","client_ja3":"",'
    b'"client_ja4":"t13d","client_sni":"www.",'
    b'"encrypted_ch_version":"0xfe0d","fingerprint":"","issuer_dn":"C=US, O=DigiCert Inc, OU=www.digicert.com, CN=",'
    b'"server_cn":"*.","server_ja3":"","subject_dn":"C=US, ST=California, L=, O=, Inc., CN=","version":"0x0303"},"vlan_id":0},'
    b'{"established":false,"flow":{"category":{"application":29,"domain":0,"local_network":0,"other_network":0,"overlay":0,"protocol":22},'
    b'"detected_application":0,"detected_application_name":"Unknown","detected_application":133,"detected_application_name":"netify.google",'
    b'"detected_protocol":5,"detected_protocol_name":"DNS","detected_protocol":188,"detected_protocol_name":"QUIC",'
    b'"detected_protocol":196,"detected_protocol_name":"HTTP/S","detection_guessed":false,"detection_updated":true,"dhc_hit":true,'
    b'"digest":"","digest_prev":[""],"dns_host_name":"www.","first_seen_at":17952089,"first_update_at":17952089,"host_server_name":"www.",'
    b'"ip_dscp":0,"ip_nat":false,"ip_protocol":17,"ip_protocol":6,"ip_version":6,"ip_version":4,"last_seen_at":17952089,"local_ip":"192.168.1.",'
    b'"local_mac":"","local_origin":true,"local_port":5,"other_ip":"","other_mac":"","other_port":443,"other_type":"remote",'
    b'"risks":{"ndpi_risk_score":0,"ndpi_risk_score_client":0,"ndpi_risk_score_server":0},"soft_dissector":false,"vlan_id":0},'
    b'"interface":"br-lan","internal":true,"type":"flow"}\n'
)


def pack(payload: bytes) -> bytes:
    """Return a payload packed."""
    # A small window and little memory: a record is short, and zlib makes its tables anew for each.
    packer = zlib.compressobj(6, zlib.DEFLATED, -12, 5, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return packer.compress(payload) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """Return the payload of `pack`."""
    return zlib.decompressobj(-12, _DICTIONARY).decompress(packed)


def gzip(data: bytes) -> bytes:
    """Return data as a file of gzip. Several, one after the other, are one as well."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()
