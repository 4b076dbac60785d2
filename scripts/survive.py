"""Put runs through kills, failing disks, damage and bad environments: `python scripts/survive.py --help`."""

from ddpg.command_line import survive

if __name__ == "__main__":
    survive()
