import struct
import unittest

from emulator import Lane, payload


def lane(**other):
    return Lane(**({"rate": 1e6, "delay": 0.025, "loss": 0.0, "queue": 0.1, "seed": 1} | other))


class Lanes(unittest.TestCase):
    def test_a_packet_comes_out_after_its_time_on_the_line_and_the_delay(self) -> None:
        self.assertAlmostEqual(lane().offer(10.0, 1000), 10.0 + 0.001 + 0.025)

    def test_packets_wait_for_those_before_them(self) -> None:
        line = lane()
        out = [line.offer(0.0, 1000) for _ in range(3)]
        self.assertEqual([round(at, 6) for at in out], [0.026, 0.027, 0.028])
        self.assertAlmostEqual(line.offer(5.0, 1000), 5.026, msg="and no longer")

    def test_a_full_queue_drops_what_comes_last(self) -> None:
        line = lane(queue=0.1005)
        out = [line.offer(0.0, 1000) for _ in range(200)]
        self.assertEqual(out.index(None), 101, "what is behind the packet on the line fills 100 ms")
        self.assertEqual(out[101:], [None] * 99)
        self.assertEqual((line.dropped, line.lost, line.bytes), (99, 0, 101_000))
        self.assertIsNotNone(line.offer(0.0011, 1000), "one has gone, one may come")

    def test_the_share_that_is_lost_is_what_was_asked_and_the_same_for_the_same_seed(self) -> None:
        fates = []
        for seed in (1, 1, 2):
            line = lane(rate=1e9, loss=0.001, seed=seed)
            fates.append([line.offer(at * 0.001, 1500) is None for at in range(200_000)])
            self.assertTrue(150 <= line.lost <= 250, f"{line.lost} of 200000")
        self.assertEqual(fates[0], fates[1])
        self.assertNotEqual(fates[0], fates[2])

    def test_what_is_lost_takes_no_time_on_the_line(self) -> None:
        line = lane(loss=1.0)
        self.assertIsNone(line.offer(0.0, 1500))
        self.assertEqual((line.bytes, line.free_at), (0, 0.0))


class Payload(unittest.TestCase):
    def test_heads_do_not_count(self) -> None:
        # IPv4 with 5 words, TCP with 8 words (timestamps), and 100 bytes.
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 152, 0, 0, 64, 6, 0, b"", b"")
        tcp = struct.pack(">HHIIBBHHH", 80, 5000, 1, 1, 8 << 4, 0x18, 1000, 0, 0) + bytes(12)
        self.assertEqual(payload(ip + tcp + bytes(100)), 100)
        self.assertEqual(payload(struct.pack(">BBH", 0x45, 0, 40) + ip[4:] + tcp), 0, "an acknowledgement")

    def test_other_packets_carry_nothing(self) -> None:
        for packet in (b"", bytes(60), b"\x60" + bytes(60), b"\x45" + bytes(8) + b"\x11" + bytes(60)):
            self.assertEqual(payload(packet), 0)


if __name__ == "__main__":
    unittest.main()
