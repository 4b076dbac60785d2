"""Put runs through kills, failing disks, damage and bad environments: `python scripts/survive.py --help`."""

from ddpg.survival.command import main

if __name__ == "__main__":
    main()
